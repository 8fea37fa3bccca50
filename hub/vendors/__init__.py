"""How each vendor signs, words and answers: pure, by vendor or, where only signing is known, by family. No calls."""
