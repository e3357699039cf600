"""Many runs as one: each job is built in a process of its own, then all that they made is timed together."""
