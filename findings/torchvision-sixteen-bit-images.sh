#!/usr/bin/env bash
# torchvision 0.29.1 (torch 2.14.1, Pillow 13.0.0): a 16-bit grey PNG is white through ImageFolder, half negative through ToTensor.
#
# Expected by most: either way gives grey values between 0 and 1, as for 8-bit images. Seen, on a ramp from 0 to 65535:
# ImageFolder's loader converts to RGB, which cuts at 255 instead of scaling, so that all but the darkest pixel are white;
# ToTensor on the opened image gives int16 that is not scaled, and the brighter half comes out negative. Neither warns.
# transforms.v2's to_image keeps uint16 as it is. X-rays and microscope images are often such files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os
import sys

import numpy
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor
from torchvision.transforms.v2.functional import to_image

os.mkdir(f"{sys.argv[1]}/images")
os.mkdir(f"{sys.argv[1]}/images/ramp")
path = f"{sys.argv[1]}/images/ramp/0.png"
Image.fromarray(numpy.linspace(0, 65535, 256).astype("uint16").reshape(16, 16)).save(path)

folder, _ = ImageFolder(f"{sys.argv[1]}/images", transform=ToTensor())[0]
opened = ToTensor()(Image.open(path))
newer = to_image(Image.open(path))
print(f"ImageFolder: {folder.dtype}, {(folder == 1).float().mean():.1%} of the pixels white")
print(f"ToTensor:    {opened.dtype}, {(opened < 0).float().mean():.1%} of the pixels negative")
print(f"to_image:    {newer.dtype}, greatest {newer.numpy().max()}")
assert folder.dtype == torch.float32 and (folder == 1).float().mean() > 0.99
assert opened.dtype == torch.int16 and (opened < 0).float().mean() == 0.5
assert newer.dtype == torch.uint16 and newer.numpy().max() == 65535
PYTHON
