"""Writes the data set of this folder: the first images of each class of Fashion-MNIST.

    python make_subset.py [FOLDER WITH THE FOUR ORIGINAL FILES]

The images keep the order that they have in the original files, so the classes stay mixed. Nothing
but Python is needed, and the same originals give the same images. (The compressed bytes may differ
between versions of zlib.)
"""

import gzip
import struct
import sys
from pathlib import Path

PER_CLASS = {"train": 1200, "t10k": 200}
CLASSES = 10
PIXELS = 28 * 28


def read(path, magic, axes):
    with gzip.open(path) as file:
        header = struct.unpack(f">{1 + axes}I", file.read(4 + 4 * axes))
        assert header[0] == magic, f"{path} starts with {header[0]:#x}, expected {magic:#x}"
        return header[1], file.read()


def write(path, magic, sizes, values):
    # No name and no time go into the file: only the images decide its bytes.
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + bytes(values))


def main():
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist")
    target = Path(__file__).parent
    for part, per_class in PER_CLASS.items():
        image_file, label_file = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        image_count, images = read(source / image_file, 0x803, 3)
        label_count, labels = read(source / label_file, 0x801, 1)
        assert image_count == label_count == len(labels) and len(images) == image_count * PIXELS

        taken = [0] * CLASSES
        chosen = []
        for index, label in enumerate(labels):
            if taken[label] < per_class:
                taken[label] += 1
                chosen.append(index)
        assert taken == [per_class] * CLASSES, f"images per class: {taken}"

        pixels = b"".join(images[i * PIXELS : (i + 1) * PIXELS] for i in chosen)
        write(target / image_file, 0x803, [len(chosen), 28, 28], pixels)
        write(target / label_file, 0x801, [len(chosen)], [labels[i] for i in chosen])
        print(f"{part}: {len(chosen)} images, the last is number {chosen[-1]} of the original")


if __name__ == "__main__":
    main()
