"""Where the tree lives. ``interface`` says what a storage does, ``local`` does it in a folder."""
