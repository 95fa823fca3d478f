"""``python -m covdist``: the command line, where no script was installed or another Python is wanted."""

from covdist.cli import main

if __name__ == "__main__":
    main()
