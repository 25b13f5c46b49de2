"""Small synthetic images and what Pillow makes of them, for tests/image/.

    pip install numpy pillow pillow_heif
    python make_pixels.py [CJPEG HEIF-ENC]     cjpeg of libjpeg-turbo 3 and heif-enc of libheif, for what Pillow does not write

pixels/<input>.png                                          an image, every colour type of PNG among them
pixels/<input>.<resize>.<filter>.<W>x<H>.<rounding>.png     its crop; resize is shorter-N, squash-WxH or none
formats/<file>                                              one image in each file format and flavour
formats/<file>.png                                          its RGB pixels as Pillow decodes them
heif/<file>, heif/<file>.png                                the same for AVIF and HEIC, the latter with pillow_heif 1.8.1; upright

The committed files were made with Pillow 13.0.0. Earlier releases give other pixels for images that lose more than twice as
many rows as columns, because they run the horizontal pass first on all.
"""

import os
import subprocess
import sys

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

here = os.path.dirname(os.path.abspath(__file__))
PIXELS, FORMATS = os.path.join(here, "pixels"), os.path.join(here, "formats")
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
rng = np.random.default_rng(11)


def picture(width, height):
    """Two gradients, a disc and some noise: smooth parts, an edge and detail."""
    y, x = np.mgrid[:height, :width]
    disc = ((x - 0.6 * width) ** 2 + (y - 0.4 * height) ** 2 < (0.3 * min(width, height)) ** 2) * 120
    planes = 200 * x / width, 200 * y / height, 60 + disc
    rgb = np.stack(planes, 2) + rng.integers(0, 50, (height, width, 3))
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def resized(image, rule):
    kind, _, size = rule.partition("-")
    width, height = image.size
    if kind == "shorter":
        size = int(size)
        return (size, int(size * height / width)) if width <= height else (int(size * width / height), size)
    return tuple(map(int, size.split("x"))) if kind == "squash" else image.size


def crop(image, width, height, rounding):
    """torchvision's CenterCrop; "floor" rounds the offset down as transformers does."""
    pad = max(0, width - image.width), max(0, height - image.height)
    padded = Image.new("RGB", (image.width + pad[0], image.height + pad[1]))
    padded.paste(image, (pad[0] // 2, pad[1] // 2))
    half = (lambda margin: round(margin / 2.0)) if rounding == "even" else (lambda margin: margin // 2)
    left, top = half(padded.width - width), half(padded.height - height)
    return padded.crop((left, top, left + width, top + height))


def save_pixels():
    os.makedirs(PIXELS, exist_ok=True)
    landscape, portrait = picture(61, 47), picture(43, 58)
    small = landscape.resize((26, 20))
    grey = small.convert("L")
    palette = small.quantize(16)
    inputs = {
        "landscape": landscape,
        "portrait": portrait,
        "tall": picture(30, 91),
        "tiny": picture(5, 4),
        "grey": grey,
        "grey-alpha": Image.merge("LA", (grey, grey.rotate(180))),
        "one-bit": grey.convert("1"),
        "palette": palette,
        "palette-transparent": palette,
        "rgba": Image.merge("RGBA", (*small.split(), grey)),
    }
    recipes = {
        "landscape": [
            "shorter-33.bilinear.24x24.even",
            "shorter-33.bilinear.24x24.floor",
            "shorter-35.bicubic.24x24.even",
            "shorter-35.bicubic.24x24.floor",
            "squash-20x30.bicubic.20x30.even",
            "none.bilinear.30x24.even",
            "none.bilinear.30x24.floor",
            "shorter-47.bicubic.40x40.even",
            "shorter-20.bilinear.32x17.even",
        ],
        "portrait": ["shorter-33.bilinear.24x24.even", "shorter-33.bicubic.24x24.floor", "shorter-60.bicubic.31x35.even"],
        # These lose more than twice as many rows as columns.
        "tall": ["shorter-20.bilinear.16x16.even", "shorter-21.bicubic.16x20.even", "squash-30x20.bicubic.30x20.even"],
        "tiny": ["shorter-40.bicubic.30x30.even", "none.bicubic.8x9.even", "none.bicubic.8x9.floor", "squash-3x16.bilinear.6x6.even"],
    }
    for name, image in inputs.items():
        options = {"transparency": 3} if name == "palette-transparent" else {}
        path = os.path.join(PIXELS, name + ".png")
        image.save(path, optimize=True, **options)
        rgb = Image.open(path).convert("RGB")
        for recipe in recipes.get(name, ["shorter-17.bicubic.16x16.even"]):
            rule, kernel, size, rounding = recipe.split(".")
            width, height = map(int, size.split("x"))
            out = crop(rgb.resize(resized(rgb, rule), FILTERS[kernel]), width, height, rounding)
            out.save(os.path.join(PIXELS, f"{name}.{recipe}.png"), optimize=True)


def save_formats():
    os.makedirs(FORMATS, exist_ok=True)
    image, other = picture(45, 34), picture(45, 34)
    palette = image.quantize(32)
    files = {
        "baseline.jpg": (image, {"quality": 90}),
        "progressive.jpg": (image, {"quality": 90, "progressive": True}),
        "restarts.jpg": (image, {"quality": 90, "restart_marker_blocks": 1}),
        "grey.jpg": (image.convert("L"), {"quality": 90}),
        "cmyk.jpg": (image.convert("CMYK"), {"quality": 90}),
        "full-chroma.jpg": (image, {"quality": 90, "subsampling": 0}),
        "lossy.webp": (image, {"quality": 90}),
        "lossless.webp": (image, {"lossless": True}),
        "animated.webp": (image, {"lossless": True, "save_all": True, "append_images": [other]}),
        "alpha.webp": (Image.merge("RGBA", (*image.split(), image.convert("L"))), {"lossless": True, "exact": True}),
        "still.gif": (palette, {}),
        "transparent.gif": (palette, {"transparency": 5}),
        "flat.gif": (palette, {"interlace": 0}),
        "animated.gif": (palette, {"save_all": True, "append_images": [other.quantize(32)]}),
        "rgb.bmp": (image, {}),
        "palette.bmp": (palette, {}),
        "one-bit.bmp": (image.convert("1"), {}),
        "animated.png": (image, {"save_all": True, "append_images": [other]}),
    }
    for name, (image, options) in files.items():
        path = os.path.join(FORMATS, name)
        image.save(path, **options)
        Image.open(path).convert("RGB").save(path + ".png", optimize=True)


def save_with_pixels(path, image=None, **options):
    if image is not None:
        image.save(path, **options)
    Image.open(path).convert("RGB").save(path + ".png", optimize=True)


def save_scans():
    """TIFF in the compressions and colours that Pillow writes."""
    image = picture(45, 34)
    palette, grey, inks = image.quantize(32), image.convert("L"), image.convert("CMYK")
    files = {
        "plain": (image, "raw"),
        "lzw": (image, "tiff_lzw"),
        "deflate": (image, "tiff_adobe_deflate"),
        "packbits": (grey, "packbits"),
        "palette": (palette, "tiff_lzw"),
        "one-bit": (grey.convert("1"), "raw"),
        "inks": (inks, "tiff_lzw"),
        "alpha": (Image.merge("RGBA", (*image.split(), grey)), "tiff_lzw"),
        "jpeg": (image, "jpeg"),
        "grey-jpeg": (grey, "jpeg"),
        "grey-alpha": (Image.merge("LA", (grey, grey.rotate(180))), "raw"),
    }
    for name, (image, compression) in files.items():
        save_with_pixels(os.path.join(FORMATS, name + ".tif"), image, compression=compression)


def save_others(cjpeg, heif_enc):
    """JPEG of kinds that Pillow reads and does not write, AVIF and HEIC."""
    image = picture(45, 34)
    source = os.path.join(FORMATS, "source.ppm")
    image.save(source)
    kinds = {
        "arithmetic": ["-arithmetic"],
        "arithmetic-progressive": ["-arithmetic", "-progressive"],
        "lossless": ["-lossless", "1,0"],
        "columns-3x1": ["-sample", "3x1"],
        "columns-4x1": ["-sample", "4x1"],
        "rows-1x2": ["-sample", "1x2"],
        "mixed": ["-sample", "2x2,1x2,2x1"],
        "rgb": ["-rgb"],
    }
    for name, options in kinds.items():
        path = os.path.join(FORMATS, name + ".jpg")
        subprocess.run([cjpeg, *options, "-quality", "90", "-outfile", path, source], check=True)
        save_with_pixels(path)
    # The transform in Adobe's segment says whether inks are stored as they are or as YCCK.
    with open(os.path.join(FORMATS, "cmyk.jpg"), "rb") as file:
        bytes = bytearray(file.read())
    bytes[bytes.index(b"Adobe") + 11] = 2
    path = os.path.join(FORMATS, "ycck.jpg")
    with open(path, "wb") as file:
        file.write(bytes)
    save_with_pixels(path)
    folder = os.path.join(here, "heif")
    os.makedirs(folder, exist_ok=True)
    png = os.path.join(folder, "source.png")
    image.save(png)
    save_with_pixels(os.path.join(folder, "photo.avif"), image, quality=90, subsampling="4:4:4")
    subprocess.run([heif_enc, "-q", "95", "-p", "chroma=444", "-o", os.path.join(folder, "photo.heic"), png], check=True)
    pillow_heif.register_heif_opener()
    save_with_pixels(os.path.join(folder, "photo.heic"))
    exif = Image.Exif()
    exif[0x112] = 6
    for name, options in {"turned.avif": {"quality": 90, "subsampling": "4:4:4"}, "turned.heic": {"quality": 95, "chroma": 444}}.items():
        path = os.path.join(folder, name)
        image.save(path, exif=exif.tobytes(), **options)
        with Image.open(path) as turned:
            ImageOps.exif_transpose(turned).convert("RGB").save(path + ".png", optimize=True)
    os.remove(source)
    os.remove(png)


if __name__ == "__main__":
    save_pixels()
    save_formats()
    save_scans()
    if len(sys.argv) > 2:
        save_others(*sys.argv[1:3])
