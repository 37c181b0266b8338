"""How values enter the text of a command, and where a program would run one: there it is refused."""
