"""What every attack rests on: the problem, criteria, losses and the eps-ball, with the first-order attacks."""
