"""The ground floor: bytes to meaning and back.

Pure: nothing in here awaits, reads a clock, an environment variable or a file, and nothing in here imports the
floors above. ``vocabulary`` is what everything is said in, ``framing`` finds events in bytes, ``wire`` speaks each
family of provider APIs as a client does, ``serving`` speaks the same families as a server does.
"""
