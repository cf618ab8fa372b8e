"""How the desk writes times, in every language alike: in one piece, with the zone they are in."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i T"
