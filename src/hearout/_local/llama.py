"""The program of the process that runs SmolLM2: llama.cpp's own server, on loopback, for whoever has the key.

It is run as a file and not as a module: what the package imports is not needed here. Its arguments are the model's file
and the tokens to give it room for. It reads the key from its input, writes ``ready URL`` or ``failed WHY`` to its
output, and ends when its input ends: with the process that started it, however that ends.
"""

import os
import sys


def main(path: str, context: int) -> None:
    """Serve the model until the input ends."""
    report = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # llama.cpp writes about requests, and so the caller's words
    os.dup2(nothing, 2)
    key = sys.stdin.readline().strip()
    os.nice(5)  # who speaks and who listens go first: a late answer is no gap in the sound
    try:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = path
        params.api_keys = [key]
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.ui = False
        params.n_ctx = context
        params.n_parallel = 2  # a reply that LiveKit began early, and the one that takes its place
        params.kv_unified = True
        params.verbosity = -1
        params.sampling.penalty_repeat = 1.1  # without it, it says a sentence twice
        # with two prompt threads an answer took two to three times the CPU (0.7-1.0 s for 0.35 s, n = 16 each)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        server = xllamacpp.Server(params)
    except Exception as error:
        print("failed", type(error).__name__, str(error).replace("\n", " ")[:200], file=report, flush=True)
        raise
    print("ready", server.listening_address, file=report, flush=True)
    sys.stdin.read()
    os._exit(0)  # its threads may be in the middle of an answer that nobody waits for


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
