"""The classes of "c2", "c4", "c10" and "c15" in each source that defines them."""

ANIMALS = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")


DIGITS = tuple(f"digit-{digit}" for digit in range(5))


CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


_CIFAR100_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""


CIFAR100 = tuple(_CIFAR100_NAMES.split())


_CIFAR100_ANIMALS = ("bear", "camel", "chimpanzee", "elephant", "fox", "leopard", "lion", "mouse", "tiger", "wolf")


_CIFAR100_VEHICLES = ("bus", "motorcycle", "pickup_truck", "streetcar")


SIZES = {"c2": 2, "c4": 4, "c10": 10, "c15": 15}


#: Source, name, sorted classes. Other names stand for all classes of a source, whose number must be that of the name.
#: The 15 classes of the study are not known.
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "builtin": {
        "c2": ("cat", "dog"),
        "c4": ("cat", "dog", "elephant", "zebra"),
        "c10": ANIMALS,
        "c15": tuple(sorted(ANIMALS + DIGITS)),
    },
    "folder": {  # the classes of the study
        "c4": ("Bus", "Car", "Truck", "motorcycle"),
        "c10": ("Cat", "Dog", "Elephant", "Gorilla", "Hippo", "Monkey", "Mouse", "Panda", "Tiger", "Zebra"),
    },
    "cifar10": {
        "c2": ("cat", "dog"),
        "c4": ("airplane", "automobile", "ship", "truck"),
        "c10": CIFAR10,
    },
    "cifar100": {
        "c2": ("tiger", "wolf"),
        "c4": _CIFAR100_VEHICLES,
        "c10": _CIFAR100_ANIMALS,
        "c15": tuple(sorted((*_CIFAR100_ANIMALS, *_CIFAR100_VEHICLES, "bicycle"))),
    },
}
