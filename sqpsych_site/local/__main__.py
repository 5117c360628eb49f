"""``python -m sqpsych_site.local``: what ``make run`` runs."""

import sys

from sqpsych_site.local.supervisor import main

if __name__ == "__main__":
    sys.exit(main())
