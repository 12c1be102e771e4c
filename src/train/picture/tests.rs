use super::*;

fn pattern(height: usize, width: usize, channels: usize) -> Picture {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                pixels.push(((x * 37 + y * 91 + c * 53 + x * y * 7) % 256) as u8);
            }
        }
    }
    Picture {
        width,
        height,
        channels,
        pixels,
    }
}

fn input(input: [usize; 3], resize: Resize) -> PictureInput {
    PictureInput {
        input,
        resize,
        filter: Filter::Bilinear,
        mean: vec![0.0],
        std: vec![1.0],
    }
}

/// `convert("L")`, `resize((8, 12), BILINEAR)` and the crop that torchvision's `CenterCrop(6)` takes, with Pillow 11.3.0.
#[test]
fn agrees_with_pillow_and_torchvision() {
    let found = fit(pattern(17, 11, 3), &input([1, 6, 6], Resize::Short(8))).unwrap();
    let wanted = [
        120, 126, 133, 137, 137, 132, 147, 119, 129, 140, 133, 121, 110, 131, 110, 125, 114, 134,
        140, 133, 151, 125, 129, 150, 123, 103, 138, 122, 123, 122, 124, 133, 133, 128, 121, 122,
    ];
    assert_eq!(found, wanted);
}

#[test]
fn sizes_follow_from_the_shorter_side() {
    let size = |resize, size| resized(size, &input([3, 224, 224], resize));
    assert_eq!(size(Resize::Short(256), [375, 500]), [256, 341]);
    assert_eq!(size(Resize::Short(256), [500, 375]), [341, 256]);
    assert_eq!(size(Resize::Exact([240, 230]), [5, 900]), [240, 230]);
    assert_eq!(size(Resize::Keep, [300, 400]), [300, 400]);
    assert_eq!(size(Resize::Cover, [100, 300]), [224, 672]);
    assert_eq!(size(Resize::Cover, [300, 100]), [672, 224]);
    let wide = |size| resized(size, &input([1, 20, 60], Resize::Cover));
    assert_eq!(wide([100, 100]), [60, 60]);
    assert_eq!(wide([10, 1000]), [20, 2000]);
    assert_eq!(wide([7, 20]), [21, 60]);
}

#[test]
fn margins_are_those_of_python() {
    let margins: Vec<usize> = (0..9).map(margin).collect();
    assert_eq!(margins, [0, 0, 1, 2, 2, 2, 3, 4, 4]);
}

#[test]
fn channels_are_made_from_what_there_is() {
    let colour = Picture {
        width: 2,
        height: 1,
        channels: 3,
        pixels: vec![255, 0, 0, 10, 20, 30],
    };
    let grey = fit(colour.clone(), &input([1, 1, 2], Resize::Keep)).unwrap();
    assert_eq!(grey, [76, 18]);
    let planes = fit(colour.clone(), &input([3, 1, 2], Resize::Keep)).unwrap();
    assert_eq!(planes, [255, 10, 0, 20, 0, 30]);
    let again = Picture {
        channels: 1,
        pixels: vec![4, 5],
        ..colour
    };
    let planes = fit(again, &input([3, 1, 2], Resize::Keep)).unwrap();
    assert_eq!(planes, [4, 5, 4, 5, 4, 5]);
}

#[test]
fn a_small_picture_is_refused_with_its_size() {
    let error = fit(pattern(20, 40, 1), &input([1, 28, 28], Resize::Keep)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("20 x 40 pixels (height x width) is too small"),
        "{message}"
    );
}

/// What is cut out bounds the memory, however long a picture gets when its short side is resized.
#[test]
fn a_thin_picture_costs_no_more_than_the_input() {
    let thin = pattern(1, 100_000, 1);
    let found = fit(thin, &input([1, 256, 256], Resize::Short(256))).unwrap();
    assert_eq!(found.len(), 256 * 256);
}
