"""Who is in the room, how well they are connected, and what their web page reports."""
