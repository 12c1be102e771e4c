//! The published architectures in `examples/`: parameters, batch-norm statistics and multiply-accumulates against the
//! counts of their papers and of their authors' published descriptions.
//!
//! Parameters are learned numbers, statistics the running means and variances of batch norms, multiply-accumulates those
//! of convolutions and dense layers for one picture. A net that has another count is another net.

use netc::Net;
use netc::driver::{self, Options};
use netc::engine::{Engine, Runner};
use netc::sema::Mode;
use netc::summary;

/// A net of `examples/` and its counts; a count that no source gives is left out.
struct Golden {
    net: &'static str,
    params: usize,
    statistics: Option<usize>,
    macs: Option<u64>,
}

const fn counts(net: &'static str, params: usize, statistics: usize, macs: u64) -> Golden {
    Golden {
        net,
        params,
        statistics: Some(statistics),
        macs: Some(macs),
    }
}

const fn params(net: &'static str, params: usize) -> Golden {
    Golden {
        net,
        params,
        statistics: None,
        macs: None,
    }
}

#[test]
fn published_counts() {
    let nets = [
        // The paper's 60,000 and the dense layer that stands for its hand-drawn output codes.
        params("lenet5_1998.net", 60_850),
        counts("lenet5.net", 61_706, 0, 416_520),
        counts("alexnet.net:AlexNet", 60_965_224, 0, 724_406_816),
        counts("alexnet.net:Ungrouped", 62_378_344, 0, 1_135_256_096),
        counts("alexnet.net:OneTower", 61_100_840, 0, 714_188_480),
        params("vgg.net:VGG11", 132_863_336),
        params("vgg.net:VGG13", 133_047_848),
        counts("vgg.net:VGG16", 138_357_544, 0, 15_470_264_320),
        counts("vgg.net:VGG19", 143_667_240, 0, 19_632_062_464),
        counts("vgg.net:VGG16Norm", 138_365_992, 8_448, 15_470_264_320),
        counts("nin.net:NiN", 7_595_176, 0, 1_100_188_800),
        counts("nin.net:NiN10", 966_986, 0, 222_486_528),
        counts("googlenet.net:GoogLeNet", 6_998_552, 0, 1_582_671_872),
        // With a learned factor in each batch norm; the authors' first form had none (23,817,352).
        counts(
            "inception_v3.net:InceptionV3",
            23_834_568,
            34_432,
            5_713_216_096,
        ),
        counts("resnet.net:ResNet18", 11_689_512, 9_600, 1_814_073_344),
        counts("resnet.net:ResNet34", 21_797_672, 17_024, 3_663_761_408),
        counts("resnet.net:ResNet50", 25_557_032, 53_120, 3_857_973_248),
        counts("resnet.net:ResNet50v15", 25_557_032, 53_120, 4_089_184_256),
        counts("resnet.net:ResNet101", 44_549_160, 105_344, 7_570_194_432),
        counts(
            "resnet.net:ResNet101v15",
            44_549_160,
            105_344,
            7_801_405_440,
        ),
        counts("resnet.net:ResNet152", 60_192_808, 151_424, 11_282_415_616),
        counts(
            "resnet.net:ResNet152v15",
            60_192_808,
            151_424,
            11_513_626_624,
        ),
        counts("resnet.net:ResNeXt50", 25_028_904, 68_224, 4_230_479_872),
        counts("densenet.net:DenseNet121", 7_978_856, 83_648, 2_834_161_664),
        counts(
            "densenet.net:DenseNet161",
            28_681_000,
            219_936,
            7_727_907_072,
        ),
        counts(
            "densenet.net:DenseNet169",
            14_149_480,
            158_400,
            3_359_843_328,
        ),
        counts(
            "densenet.net:DenseNet201",
            20_013_928,
            229_056,
            4_291_365_888,
        ),
        counts("mobilenet.net:MobileNet", 4_231_976, 21_888, 568_740_352),
        counts("mobilenet.net:MobileNet50", 1_331_592, 10_944, 149_497_088),
        counts("mobilenet.net:MobileNet25Small", 470_072, 5_472, 13_570_048),
        counts("mobilenet.net:MobileNetV2", 3_504_872, 34_112, 300_774_272),
        counts("xception.net:Xception", 22_855_952, 54_528, 8_357_403_496),
        counts(
            "se_resnet.net:SEResNet50",
            28_088_024,
            53_120,
            3_860_488_192,
        ),
        counts(
            "se_resnet.net:SEResNet101",
            49_326_872,
            105_344,
            7_574_937_600,
        ),
        counts(
            "se_resnet.net:SEResNet152",
            66_821_848,
            151_424,
            11_288_993_792,
        ),
        params("se_resnet.net:SEResNet18", 11_778_592),
        params("se_resnet.net:SEResNet34", 21_958_868),
        counts(
            "se_resnet.net:SEResNeXt50",
            27_559_896,
            68_224,
            4_232_994_816,
        ),
        counts(
            "se_resnet.net:SEResNeXt101",
            48_955_416,
            137_856,
            7_974_739_968,
        ),
        params("cbam_resnet.net:CBAMResNet18", 11_779_392),
        params("cbam_resnet.net:CBAMResNet34", 21_960_468),
        params("cbam_resnet.net:CBAMResNet50", 28_089_624),
        counts("squeezenet.net:SqueezeNet", 1_248_424, 0, 861_339_936),
        counts("squeezenet.net:SqueezeNet11", 1_235_496, 0, 387_747_520),
        counts("efficientnet.net:B0", 5_288_548, 42_016, 385_814_752),
        counts("efficientnet.net:B1", 7_794_184, 62_048, 686_802_832),
        counts("efficientnet.net:B2", 9_109_994, 67_568, 993_561_872),
        counts("efficientnet.net:B3", 12_233_232, 87_296, 1_827_141_392),
        counts("efficientnet.net:B4", 19_341_616, 125_200, 4_393_771_024),
        counts("efficientnet.net:B5", 30_389_784, 172_736, 10_266_384_752),
        counts("efficientnet.net:B6", 43_040_704, 224_432, 19_067_593_536),
        counts("efficientnet.net:B7", 66_347_960, 310_720, 37_745_884_192),
        params("efficientnet.net:Lite0", 4_652_008),
        counts("resnet_cifar.net:ResNet20", 269_722, 1_376, 40_551_040),
        params("resnet_cifar.net:ResNet20Projected", 272_474),
        params("resnet_cifar.net:ResNet32", 464_154),
        params("resnet_cifar.net:ResNet44", 658_586),
        params("resnet_cifar.net:ResNet56", 853_018),
        params("resnet_cifar.net:ResNet56Projected", 855_770),
        params("resnet_cifar.net:ResNet110", 1_727_962),
        params("resnet_cifar.net:ResNet110Projected", 1_730_714),
        params("densenet_cifar.net:DenseNet40", 1_019_722),
        params("densenet_cifar.net:DenseNet100", 6_979_642),
        params("densenet_cifar.net:DenseNet100Wide", 27_249_082),
        params("densenet_cifar.net:DenseNetBC100", 769_162),
        params("densenet_cifar.net:DenseNetBC250", 15_324_406),
        params("densenet_cifar.net:DenseNetBC190", 25_624_430),
    ];
    let mut wrong = String::new();
    for golden in &nets {
        let found = count(golden.net, Mode::Infer);
        let macs = golden.macs.unwrap_or(found.macs);
        let statistics = golden.statistics.unwrap_or(found.statistics);
        if (found.params, found.statistics, found.macs) != (golden.params, statistics, macs) {
            wrong += &format!(
                "{}: {} parameters, {} statistics, {} multiply-accumulates, wanted {}, {statistics}, {macs}\n",
                golden.net, found.params, found.statistics, found.macs, golden.params
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn depth_costs_what_the_papers_say() {
    let macs = [
        ("resnet_cifar.net:ResNet32", 68_862_592),
        ("resnet_cifar.net:ResNet44", 97_174_144),
        ("resnet_cifar.net:ResNet56", 125_485_696),
        ("resnet_cifar.net:ResNet110", 252_887_680),
        ("densenet_cifar.net:DenseNet40", 264_812_928),
        ("densenet_cifar.net:DenseNet100", 1_769_516_448),
        ("densenet_cifar.net:DenseNet100Wide", 6_889_347_744),
        ("densenet_cifar.net:DenseNetBC100", 287_929_692),
        ("densenet_cifar.net:DenseNetBC250", 5_418_785_724),
        ("densenet_cifar.net:DenseNetBC190", 9_301_945_740),
    ];
    for (net, macs) in macs {
        assert_eq!(count(net, Mode::Infer).macs, macs, "{net}");
    }
}

/// The authors' published counts are those of the test-time form, the ImageNet nets with half of the classifier's
/// inputs. (They also state operations that count each relu, pool and bias; multiply-accumulates are what is left.)
#[test]
fn condensed_nets_have_the_published_counts() {
    let nets = [
        ("condensenet.net:CondenseNet4", 4_773_944, 516_640_576),
        ("condensenet.net:CondenseNet8", 2_935_416, 261_545_792),
        ("condensenet_cifar.net:CondenseNet50", 216_506, 27_185_696),
        ("condensenet_cifar.net:CondenseNet74", 405_466, 49_208_032),
        ("condensenet_cifar.net:CondenseNet86", 520_202, 62_381_888),
        ("condensenet_cifar.net:CondenseNet98", 648_442, 76_997_536),
        ("condensenet_cifar.net:CondenseNet110", 790_186, 93_054_976),
        ("condensenet_cifar.net:CondenseNet122", 945_434, 110_554_208),
        (
            "condensenet_cifar.net:CondenseNet182",
            4_221_946,
            493_929_312,
        ),
    ];
    for (net, params, macs) in nets {
        let found = count(net, Mode::Infer);
        let wanted = summary::Condensed { params, macs };
        assert_eq!(found.condensed, Some(wanted), "{net}");
        // In training each 1 x 1 convolution is dense.
        assert!(found.params > params && found.macs > macs, "{net}");
    }
}

/// Auxiliary heads exist in training and nowhere else.
#[test]
fn heads_count_in_training() {
    assert_eq!(
        count("googlenet.net:GoogLeNet", Mode::Train).params,
        13_378_280
    );
}

fn count(spec: &str, mode: Mode) -> summary::Summary {
    let path = format!("{}/examples/{spec}", env!("CARGO_MANIFEST_DIR"));
    let net = Net::open(&path, &[]).unwrap_or_else(|error| panic!("{spec}: {error}"));
    let model = net
        .model(mode)
        .unwrap_or_else(|error| panic!("{spec}: {error:?}"));
    summary::of(&model.graph)
}

/// A layer of a net of `examples/` by its path.
fn layer(spec: &str, path: &str) -> summary::Layer {
    let layers = count(spec, Mode::Infer).layers;
    let found = layers.iter().find(|layer| layer.path == path).cloned();
    found.unwrap_or_else(|| {
        let paths: Vec<&String> = layers.iter().map(|layer| &layer.path).collect();
        panic!("{spec} has no {path}: {paths:#?}")
    })
}

/// Some implementations have a 3 x 3 convolution in the branch of 5 x 5: 4,640 parameters and 155,504 in all.
#[test]
fn googlenet_has_a_branch_of_5_x_5() {
    let net = "googlenet.net:GoogLeNet";
    let five = layer(net, "inception1.conv_act5.conv1");
    assert_eq!((five.params, five.shape), (12_832, vec![32, 28, 28]));
    let layers = count(net, Mode::Infer).layers;
    let module = layers
        .iter()
        .filter(|layer| layer.path.starts_with("inception1."));
    assert_eq!(module.map(|layer| layer.params).sum::<usize>(), 163_696);
}

/// Pools round up: 28 to 14, where rounding down gives 13.
#[test]
fn googlenet_rounds_its_pools_up() {
    let modules = [
        "inception2.concat",
        "inception3.concat",
        "inception8.concat",
    ];
    let shapes = modules.map(|path| layer("googlenet.net:GoogLeNet", path).shape);
    assert_eq!(shapes, [[480, 28, 28], [512, 14, 14], [832, 7, 7]]);
}

/// The paper has the stride of a stage's first bottleneck in its first convolution; the later form in the second costs four
/// times as much there. Parameters are the same.
#[test]
fn where_the_stride_stands() {
    let first = |spec: &str, unit: &str| {
        let path = format!("{unit}4.conv_norm_act1.conv_norm1.conv1");
        let layer = layer(spec, &path);
        (layer.params, layer.macs)
    };
    let paper = first("resnet.net:ResNet50", "bottleneck");
    let later = first("resnet.net:ResNet50v15", "bottleneck_v15");
    assert_eq!((paper.1, later.1), (25_690_112, 102_760_448));
    assert_eq!(paper.0, later.0);
}

/// Widths are rounded to the nearest multiple of 8 and never below nine tenths, depths up.
#[test]
fn efficientnet_is_scaled_as_published() {
    let published = [
        (
            "B0",
            [32, 16, 24, 40, 80, 112, 192, 320, 1280],
            [1, 2, 2, 3, 3, 4, 1],
        ),
        (
            "B2",
            [32, 16, 24, 48, 88, 120, 208, 352, 1408],
            [2, 3, 3, 4, 4, 5, 2],
        ),
        (
            "B4",
            [48, 24, 32, 56, 112, 160, 272, 448, 1792],
            [2, 4, 4, 6, 6, 8, 2],
        ),
        (
            "B7",
            [64, 32, 48, 80, 160, 224, 384, 640, 2560],
            [4, 7, 7, 10, 10, 13, 4],
        ),
    ];
    for (preset, widths, depths) in published {
        let layers = count(&format!("efficientnet.net:{preset}"), Mode::Infer).layers;
        let channels = |path: &str| {
            let found = layers.iter().find(|layer| layer.path == path);
            found
                .unwrap_or_else(|| panic!("{preset} has no {path}"))
                .shape[0]
        };
        let ends = [
            "conv_norm_act1.conv_norm1.conv1",
            "conv_norm_act2.conv_norm1.conv1",
        ]
        .map(channels);
        let blocks: usize = depths.iter().sum();
        let found: Vec<usize> = (1..=blocks)
            .map(|block| {
                let body = format!("stages1.mbconv{block}.mbconv_body1.");
                let last = layers.iter().rfind(|layer| layer.path.starts_with(&body));
                last.unwrap_or_else(|| panic!("{preset} has no block {block}"))
                    .shape[0]
            })
            .collect();
        let stages = widths[1..8].iter().zip(depths);
        let wanted: Vec<usize> = stages
            .flat_map(|(&width, depth)| std::iter::repeat_n(width, depth))
            .collect();
        assert_eq!(ends, [widths[0], widths[8]], "{preset}");
        assert_eq!(found, wanted, "{preset}");
        assert!(!layers.iter().any(|layer| {
            layer
                .path
                .starts_with(&format!("stages1.mbconv{}.", blocks + 1))
        }));
    }
}

/// The number behind B is no coefficient: B1 is made for 240 pixels, width 1.0 and depth 1.1, and a coefficient of 1 gives
/// 257.6 pixels, width 1.1 and depth 1.2.
#[test]
fn b1_is_not_a_coefficient_of_1() {
    let table = count("efficientnet.net:B1", Mode::Infer);
    let power = count("efficientnet.net:Compound", Mode::Infer);
    assert_eq!(table.input, [3, 240, 240]);
    assert_eq!(power.input, [3, 257, 257]);
    let head = |net: &str| layer(net, "conv_norm_act2.conv_norm1.conv1").shape[0];
    let heads = ["efficientnet.net:B1", "efficientnet.net:Compound"].map(head);
    assert_eq!(heads, [1280, 1408]);
}

/// The squeeze has a quarter of the channels that enter the block, 16 / 4, not of the widened 96.
#[test]
fn the_squeeze_is_measured_by_what_enters() {
    let squeeze = layer(
        "efficientnet.net:B0",
        "stages1.mbconv2.mbconv_body1.se1.dense1",
    );
    assert_eq!((squeeze.shape, squeeze.params), (vec![4], 96 * 4 + 4));
}

/// Channels are taken in runs: 1, 5, 2, 3 in pairs are 5 and 3. Taken with a stride they would be 2 and 5.
#[test]
fn maxout_takes_neighbours() {
    let text = "net Runs { input [4]; maxout(2) }";
    let net = Net::parse("runs.net".as_ref(), text.as_bytes(), None, &[]).expect("it is a net");
    let model = net.model(Mode::Infer).expect("it is a net");
    for engine in [Engine::host(), Engine::InterpretF64] {
        let mut runner = Runner::new(&model.graph, 1, &engine, &[]).expect("it can be prepared");
        runner
            .set_input("input", &[1.0, 5.0, 2.0, 3.0])
            .expect("it has four values");
        runner.run(1).expect("it runs");
        assert_eq!(runner.output("output", 1).expect("it has run"), [5.0, 3.0]);
    }
    let odd = "net Odd { input [5]; maxout(2) }";
    let net = Net::parse("odd.net".as_ref(), odd.as_bytes(), None, &[]).expect("it parses");
    let error = net
        .model(Mode::Infer)
        .expect_err("5 are no pairs")
        .to_string();
    assert!(error.contains("maxout") && error.contains('5'), "{error}");
}

/// The loss in training is that of the output and 0.3 of that of each head; a net in use has no heads.
#[test]
fn heads_have_a_share_of_the_loss() {
    let path = format!(
        "{}/examples/googlenet.net:GoogLeNet",
        env!("CARGO_MANIFEST_DIR")
    );
    let net = Net::open(&path, &[]).expect("it is a net");
    let train = net.model(Mode::Train).expect("it is a net");
    let weights: Vec<f64> = train.aux.iter().map(|head| head.weight).collect();
    assert_eq!(weights, [0.3, 0.3]);
    let infer = net.model(Mode::Infer).expect("it is a net");
    assert!(infer.aux.is_empty());
    assert_eq!(infer.graph.outputs.len(), 1);
}

/// Six layers of growth 32 over 64 channels of 56 x 56: 13,246,464 bytes an image where every layer's stack is kept.
#[test]
fn a_dense_block_does_not_keep_every_stack() {
    let text = "use std.densenet\nnet Dense { input [64, 56, 56]; dense_block(6, 32) }";
    let net = Net::parse("dense.net".as_ref(), text.as_bytes(), None, &[]).expect("it is a net");
    let model = net.model(Mode::Infer).expect("it is a net");
    let program = driver::compile(&model.graph, &Options::new(1)).expect("it compiles");
    let plan = &program.plan;
    assert!(
        plan.arena_bytes - plan.kept_bytes < 13_246_464,
        "{}",
        plan.arena_bytes - plan.kept_bytes
    );
}
