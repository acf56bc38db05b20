from .audio import read_audio as read_audio, write_audio as write_audio
from .examples import Examples as Examples, Record as Record, check_shard as check_shard, readable as readable
from .images import read_image as read_image, write_image as write_image
from .selection import (
    SPLITS as SPLITS,
    STAGES as STAGES,
    Selection as Selection,
    class_names as class_names,
    data_sets as data_sets,
    load_examples as load_examples,
    near_duplicates as near_duplicates,
)
