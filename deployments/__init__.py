"""How rancast is put to work: on a laptop (`make demo`, `make ui`), and later on servers."""
