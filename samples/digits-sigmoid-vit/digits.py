# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reads handwritten digits with the compiled vision transformer.

    digits.py PICTURE.png NAME=BUNDLE...

Prints the accuracy of each bundle on the held-out images and writes a picture
of some of them with the first bundle's answers.
"""

import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "python"))
import lathe  # noqa: E402

COLUMNS, ROWS = 12, 4
CELL, MARGIN, CAPTION = 64, 8, 18


def draw(images, answers, labels, path):
    """A sheet of digits; green captions are right answers, red ones are not."""
    width = COLUMNS * (CELL + MARGIN) + MARGIN
    height = ROWS * (CELL + CAPTION + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    for i in range(min(ROWS * COLUMNS, len(images))):
        x = MARGIN + (i % COLUMNS) * (CELL + MARGIN)
        y = MARGIN + (i // COLUMNS) * (CELL + CAPTION + MARGIN)
        pixels = np.uint8(255 * (1 - images[i, 0].clip(0, 1)))
        digit = Image.fromarray(pixels).resize((CELL, CELL), Image.NEAREST)
        sheet.paste(digit, (x, y))
        right = answers[i] == labels[i]
        pen.text((x + CELL // 2 - 3, y + CELL + 3), str(answers[i]),
                 fill="darkgreen" if right else "red")
    sheet.save(path)


def main(picture, bundles):
    test = np.load(pathlib.Path(__file__).with_name("test_digits.npz"))
    images, labels = test["image"], test["label"]
    first = None
    print()
    for bundle in bundles:
        name, path = bundle.split("=", 1)
        logits = lathe.Model(path).run({"image": images})["logits"]
        answers = logits.argmax(1)
        first = answers if first is None else first
        accuracy = (answers == labels).mean()
        size = pathlib.Path(path).stat().st_size / 1024
        print(f"  {name:>5}: {100 * accuracy:.2f} % of {len(labels)} held-out "
              f"digits right, bundle {size:.0f} KiB")
    draw(images, first, labels, picture)
    print(f"\n  answers drawn in {picture}\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
