//! What the codecs cost in time: packets, polling payloads, frames, and the whole way through all layers.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn codecs(criterion: &mut Criterion) {
    for mut operation in socketio_benches::operations() {
        let mut group = criterion.benchmark_group(format!("{}/{}", operation.packet, operation.name));
        group.throughput(Throughput::Elements(1));
        group.bench_function(operation.codec, |bencher| bencher.iter(|| (operation.run)()));
        group.finish();
    }
}

criterion_group!(benches, codecs);
criterion_main!(benches);
