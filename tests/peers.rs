//! The nets of `benches/peers/nets.net` against the counts of their PyTorch forms, which `benches/peers/models.py` prints:
//! a comparison of times is one of the same nets only if they are the same nets.

use netc::Net;
use netc::model;
use netc::sema::Mode;
use netc::summary;

/// Name, parameters, batch-norm statistics, multiply-accumulates of one image, and the batch of a training step.
const NETS: [(&str, usize, usize, u64, usize); 17] = [
    ("mlp", 669_706, 0, 668_672, 128),
    ("lenet5", 61_706, 0, 416_520, 64),
    ("alexnet", 60_965_224, 0, 724_406_816, 8),
    ("nin", 7_595_176, 0, 969_460_864, 8),
    ("vgg16", 138_357_544, 0, 15_470_264_320, 8),
    ("googlenet", 6_998_552, 0, 1_582_671_872, 8),
    ("resnet18", 11_689_512, 9_600, 1_814_073_344, 8),
    ("resnet50", 25_557_032, 53_120, 4_089_184_256, 8),
    ("resnet18_cifar", 11_173_962, 9_600, 555_422_720, 64),
    ("densenet121", 7_978_856, 83_648, 2_834_161_664, 8),
    ("mobilenet_v1", 4_231_976, 21_888, 568_740_352, 8),
    ("mobilenet_v2", 3_504_872, 34_112, 300_774_272, 8),
    ("xception", 22_855_952, 54_528, 8_357_403_496, 8),
    ("se_resnet50", 28_088_024, 53_120, 4_091_699_200, 8),
    ("condensenet74", 5_805_944, 63_456, 517_672_576, 8),
    ("efficientnet_b0", 5_288_548, 42_016, 385_814_752, 8),
    ("cbam_resnet18", 11_779_392, 9_616, 1_815_063_764, 8),
];

#[test]
fn nets_have_the_counts_of_pytorch() {
    for (name, params, statistics, macs, batch) in NETS {
        let spec = format!(
            "{}/benches/peers/nets.net:{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        let net = Net::open(&spec, &[]).unwrap();
        let used = net.model(Mode::Infer).unwrap();
        let found = summary::of(&used.graph);
        let counts = (found.params, found.statistics, found.macs);
        assert_eq!(counts, (params, statistics, macs), "{name}");
        let trained = net.model(Mode::Train).unwrap();
        let config = model::train_config(&trained).unwrap();
        assert_eq!(config.batch, batch, "{name}");
    }
}
