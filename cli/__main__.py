"""`python -m geofcn_cli` is `geofcn`."""

from geofcn_cli.main import main

if __name__ == "__main__":
    main(prog_name="geofcn")
