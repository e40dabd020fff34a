"""The room: who is there, how well each is connected, and the reports of their web pages."""
