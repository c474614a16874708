"""What is kept, and each atomic change to it, by functions that are named for what happens.

Whoever calls one has opened a `database.transaction()`, or a `database.reading()` where nothing changes. Records are
frozen, and times are epoch milliseconds of the database's clock.
"""
