"""Rules and a project's page → chosen files, and every other with the reason why it was left out.

The order of files and rules never changes the result. A file is kept when any rule or pin for its project wants it
and no exclusion names it; where several rules leave it out, the one that it came nearest to meeting is quoted.
Exclusions come last and change nothing else: to exclude a file never lets another one in.
"""
