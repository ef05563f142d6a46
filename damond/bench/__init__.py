"""How accurate and how dear damond is: the real loop over scripted memory in virtual time, and real workers.

``damond bench`` prints what is found here. Accuracy is judged in virtual time: a simulated minute takes seconds, and
the same seed gives the same numbers on every machine. Cost is judged with real workers on this machine.
"""
