from chuizi.formats import DATE_FORMAT as DATE_FORMAT
from chuizi.formats import DATETIME_FORMAT as DATETIME_FORMAT
