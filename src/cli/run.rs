//! `netc run`: computes a net's outputs, for arrays, samples of a data set, or pictures.

use std::path::PathBuf;

use serde_json::json;

use super::answers::{self, Subject};
use super::common::{Common, Interpret, NamedFile, Switch, count, parameters};
use super::data::{Indices, Input, place, read_inputs};
use super::error::CliError;
use super::output::Out;
use super::table::shape;
use crate::engine::Runner;
use crate::io::{image, npy};
use crate::ir::{Graph, ValueId};
use crate::model::Net;
use crate::sema::Model;
use crate::train::data::{Answers, BatchConfig, Batches, Part};
use crate::train::rate::dropout_seed;
use crate::train::source;

/// What `run` takes.
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("what").required(true).multiple(true)
        .args(["input", "data", "index", "image"])),
    after_help = "Examples:\n  \
        netc run examples/lenet5.net --weights lenet5.safetensors --index 0..9\n  \
        netc run examples/lenet5.net --weights lenet5.safetensors --image shoe.png\n  \
        netc run net.net --weights w.safetensors --input x.npy --output y.npy\n  \
        netc run twins.net --weights w.safetensors --input left=a.npy --input right=b.npy\n  \
        netc run twins.net --weights w.safetensors --input both.npz\n  \
        netc run twins.net --weights w.safetensors --data pairs --index 0..9\n\n\
        Without --output, the likeliest classes of each sample are printed: softmax of the net's first output, \
        unless the net ends in softmax or is trained by another loss than cross-entropy.\n\
        A picture becomes the input as the net's `input … from image(…)` says; data sets of pictures do too.\n\
        A data set of arrays has one for each input, as `pairs/test/left.npy` and `pairs/test/right.npy`."
)]
pub(super) struct Args {
    /// The net
    file: String,
    /// The weights (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The input, an array of [N, ...] (npy), taken as it is; NAME=FILE for one of several, or one npz for all
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "index", "image"])]
    input: Vec<NamedFile>,
    /// A data set or folder to take unseen samples from, in place of the file's `data`
    #[arg(long, value_name = "NAME|FOLDER", conflicts_with = "image")]
    data: Option<String>,
    /// Which samples: a number from 0, a range with both ends, a list [default: 0..9]
    #[arg(long, value_name = "N|N..M|N,N", conflicts_with = "image")]
    index: Option<Indices>,
    /// Pictures (PNG, JPEG)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    image: Vec<PathBuf>,
    /// How many of the likeliest classes to print
    #[arg(long, value_name = "K", default_value = "3", value_parser = count)]
    top: usize,
    /// Where to write the output (npy); NAME=FILE for one of several
    #[arg(long, value_name = "FILE")]
    output: Vec<NamedFile>,
    /// Images to compute at once
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
    /// Whether dropout and batch norms act as in training
    #[arg(long, value_enum, default_value = "off")]
    train_mode: Switch,
    /// Compute with the reference interpreter
    #[arg(long, value_enum)]
    interpret: Option<Interpret>,
}

/// Images at once where nothing is said: enough for all threads, and little memory.
const BATCH: usize = 64;

/// What is computed on.
struct Samples<'g> {
    inputs: Vec<Input<'g>>,
    subjects: Vec<Subject>,
    /// What the classes are called, as far as that is known.
    class_names: Vec<String>,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let engine = common.engine(args.interpret)?;
    let net = common.net(&args.file)?;
    let mode = args.train_mode.mode();
    let model = common.model(&net, mode)?;
    let graph = &model.graph;
    let known: Vec<_> = graph
        .outputs
        .iter()
        .map(|output| (output.value, output.name.as_str()))
        .collect();
    // Without names, one file is for the output that matters.
    let first = &known[..known.len().min(1)];
    let mut outputs = Vec::new();
    for file in &args.output {
        let among = match file.name {
            Some(_) => &known[..],
            None => first,
        };
        let (value, name) = place(file, "output", among)?;
        outputs.push((file, graph.dims(value).to_vec(), name, Vec::new()));
    }
    if outputs.is_empty() {
        answers::check(&model)?;
    }
    let params = parameters(&net, mode, &args.weights, common.json)?;
    let seed = common.seed(&model);
    let samples = if !args.image.is_empty() {
        pictures(args, &net, &model)?
    } else if args.input.is_empty() {
        samples_of_data(args, &net, &model, seed)?
    } else {
        arrays(args, graph)?
    };
    let total = samples.subjects.len();
    // In training, what becomes of an image depends on its batch.
    let batch = match (args.batch, args.train_mode) {
        (Some(batch), _) => batch.min(total),
        (None, Switch::On) => total,
        (None, Switch::Off) => total.min(BATCH),
    };
    let mut runner = Runner::new(graph, batch, &engine, &params)?;
    let mut answers = Vec::new();
    let mut start = 0;
    while start < total {
        let end = total.min(start + batch);
        for input in &samples.inputs {
            let part = &input.data[start * input.elements..end * input.elements];
            runner.set_input(input.name, part)?;
        }
        runner.set_seed(dropout_seed(seed, start / batch));
        runner.run(end - start)?;
        for (_, _, name, data) in &mut outputs {
            data.extend(runner.output(name, end - start)?);
        }
        if let (true, [(_, name)]) = (outputs.is_empty(), first) {
            answers.extend(runner.output(name, end - start)?);
        }
        start = end;
    }
    if outputs.is_empty() {
        return answers::print(
            &model,
            &samples.subjects,
            &samples.class_names,
            &answers,
            args.top,
            out,
        );
    }
    for (file, dims, name, data) in outputs {
        let mut full = vec![total];
        full.extend(dims);
        npy::write(&file.path, &full, &data)?;
        out.either(
            || json!({ "net": model.name, "output": name, "shape": full, "file": file.path }),
            || format!("wrote `{name}` {} to {}", shape(&full), file.path.display()),
        )?;
    }
    Ok(())
}

/// Reads arrays for all inputs.
fn arrays<'g>(args: &Args, graph: &'g Graph) -> Result<Samples<'g>, CliError> {
    let (inputs, total) = read_inputs(&args.input, graph)?;
    Ok(Samples {
        inputs,
        subjects: (0..total).map(Subject::sample).collect(),
        class_names: Vec::new(),
    })
}

/// Takes unseen samples of a data set.
fn samples_of_data<'g>(
    args: &Args,
    net: &Net,
    model: &'g Model,
    seed: u64,
) -> Result<Samples<'g>, CliError> {
    let samples = source::samples(model, args.data.as_deref(), Some(&net.path), seed)?;
    let (name, part) = (&samples.dataset.name, &samples.dataset.test);
    let chosen = match &args.index {
        Some(indices) => indices.among(part.len(), name)?,
        None => (0..part.len().min(10)).collect(),
    };
    let part = part.pick(&chosen);
    let subjects = match part.answers() {
        Answers::Labels(labels) => {
            let labelled = |(&number, &label)| Subject::labelled(number, label);
            chosen.iter().zip(labels).map(labelled).collect()
        }
        // Numbers as answers are no classes to be right about.
        Answers::Targets { .. } => chosen.iter().copied().map(Subject::sample).collect(),
    };
    Ok(Samples {
        inputs: from_part(model, &part, name)?,
        subjects,
        class_names: samples.dataset.class_names,
    })
}

/// Decodes pictures.
fn pictures<'g>(args: &Args, net: &Net, model: &'g Model) -> Result<Samples<'g>, CliError> {
    let input = source::picture_input(model).filter(|_| model.inputs.len() == 1);
    let Some(input) = input else {
        return Err(no_pictures(net, model));
    };
    let mut decoded = Vec::new();
    for path in &args.image {
        let picture = image::read(path)?;
        let part = Part::of_picture(picture, input)
            .map_err(|error| CliError::user(format!("`{}`: {error}", path.display())))?;
        decoded.push(part);
    }
    let part = Part::joined(&decoded);
    let class_names = source::class_names(model).unwrap_or_default();
    Ok(Samples {
        inputs: from_part(model, &part, "the pictures")?,
        subjects: args.image.iter().map(|path| Subject::file(path)).collect(),
        class_names,
    })
}

/// That a net does not say how a picture becomes its input, and what to write.
fn no_pictures(net: &Net, model: &Model) -> CliError {
    let (name, file) = (&model.name, net.path.display());
    let inputs = model.inputs.as_slice();
    let dims = |input: &crate::sema::ModelInput| model.graph.dims(input.value).to_vec();
    CliError::user(match inputs.first().map(dims).as_deref() {
        Some(_) if inputs.len() > 1 => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            format!(
                "`{name}` has the inputs {}, and a picture is one: give each an array with --input NAME=FILE",
                names.join(", ")
            )
        }
        Some(dims @ [1 | 3, _, _]) => format!(
            "`{name}` does not say how a picture becomes its input: write \
             `input {} from image()` in `{file}`, with the `mean` and `std` that it is trained with",
            shape(dims)
        ),
        Some(dims) => format!(
            "`{name}` takes no pictures: its input is {}, and a picture is [1, height, width] or [3, height, width]",
            shape(dims)
        ),
        None => format!("`{name}` has no input"),
    })
}

/// All samples of a part as the inputs of a net, scaled as the net says.
fn from_part<'g>(model: &'g Model, part: &Part, of: &str) -> Result<Vec<Input<'g>>, CliError> {
    let graph = &model.graph;
    let inputs: Vec<_> = graph.inputs().collect();
    let names: Vec<&str> = inputs.iter().map(|&(_, name)| name).collect();
    let Some(places) = part.places(&names) else {
        let found: Vec<&str> = part.inputs().map(|(name, _)| name).collect();
        let found = match found.as_slice() {
            [""] => "one array".to_owned(),
            names => names.join(", "),
        };
        return Err(CliError::user(format!(
            "`{}` has the inputs {}, but each sample of {of} has {found}: give each input an array with \
             --input NAME=FILE, or all in a folder with --data, as in `test/{}.npy`",
            model.name,
            names.join(", "),
            names.first().unwrap_or(&"input"),
        )));
    };
    let shapes: Vec<&[usize]> = part.inputs().map(|(_, shape)| shape).collect();
    for (&(value, name), &place) in inputs.iter().zip(&places) {
        let (wanted, found) = (graph.dims(value), shapes[place]);
        if wanted != found {
            let input = match names.len() {
                1 => "the net".to_owned(),
                _ => format!("the input `{name}`"),
            };
            return Err(CliError::user(format!(
                "{input} takes samples of {}, but those of {of} are {}",
                shape(wanted),
                shape(found)
            )));
        }
    }
    let size = std::num::NonZeroUsize::new(part.len())
        .ok_or_else(|| CliError::user(format!("{of} has no samples")))?;
    let config = BatchConfig {
        size,
        seed: None,
        drop_last: false,
    };
    let scalings = source::scalings(model);
    let scaled = |(input, place)| (place, scalings.get(input).and_then(Option::as_ref));
    let columns: Vec<_> = places.into_iter().enumerate().map(scaled).collect();
    let elements = |value| graph.ty(value).shape.elements();
    let room = |&(value, _): &(ValueId, &str)| vec![0.0; part.len() * elements(value)];
    let mut data: Vec<Vec<f32>> = inputs.iter().map(room).collect();
    Batches::of_inputs(part, &columns, config)?.fill_inputs(&mut data);
    let read = |((value, name), data)| Input {
        name,
        data,
        elements: elements(value),
    };
    Ok(inputs.into_iter().zip(data).map(read).collect())
}
