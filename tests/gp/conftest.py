"""Import aeframe first: it repairs what Aesara needs before Aesara is imported."""

import aeframe  # noqa: F401
