"""A title that would be markup."""

EVIL = "</script><script>alert(1)</script> & <b>"
