//! The published architectures in `examples/`: parameters, batch-norm statistics and multiply-accumulates against the
//! counts of their papers and of their authors' published descriptions.
//!
//! Parameters are learned numbers, statistics the running means and variances of batch norms, multiply-accumulates those
//! of convolutions and dense layers for one picture. A net that has another count is another net.

use netc::Net;
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
