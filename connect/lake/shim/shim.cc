#include "inside.h"

#include <arrow/buffer.h>
#include <arrow/c/abi.h>
#include <arrow/c/bridge.h>
#include <arrow/io/interfaces.h>
#include <arrow/io/memory.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/status.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/config.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <exception>
#include <limits>
#include <memory>

namespace
{

class Sink final : public Stream<arrow::io::OutputStream>
{
  public:
    Sink(mill_pq_sink_fn fn, void *arg) : fn_(fn), arg_(arg)
    {
    }
    arrow::Status Write(const void *data, int64_t n) override
    {
        if (!fn_)
            return arrow::Status::Cancelled("writer aborted");
        if (int e = fn_(arg_, data, static_cast<size_t>(n)); e != 0)
            return e == ENOMEM ? arrow::Status::OutOfMemory("output buffer")
                               : arrow::Status::IOError("output: errno ", e);
        pos_ += n;
        return arrow::Status::OK();
    }
    using arrow::io::OutputStream::Write;
    void detach()
    {
        fn_ = nullptr;
    }

  private:
    mill_pq_sink_fn fn_;
    void *arg_;
};

std::shared_ptr<parquet::WriterProperties>
properties(const mill_pq_options &o, const arrow::Schema &schema, arrow::MemoryPool *pool)
{
    parquet::WriterProperties::Builder b;

    b.memory_pool(pool)->version(parquet::ParquetVersion::PARQUET_2_6)->created_by("sendmill");
    b.compression(parquet::Compression::ZSTD)->compression_level(o.zstd_level);
    b.enable_dictionary()->enable_statistics()->enable_write_page_index();
    b.max_row_group_length(o.row_group_rows);
    b.data_pagesize(o.page_bytes)->max_rows_per_page(o.page_rows);
    if (o.blooms) {
        parquet::BloomFilterOptions bloom;
        bloom.ndv = o.bloom_values;
        bloom.fpp = 0.01;
        for (const char *const *c = o.blooms; *c; c++) {
            auto field = schema.GetFieldByName(*c);
            if (field && field->type()->id() == arrow::Type::STRING)
                b.enable_bloom_filter(*c, bloom);
        }
    }
    return b.build();
}

} // namespace

struct mill_pq {
    std::unique_ptr<arrow::ProxyMemoryPool> pool =
        std::make_unique<arrow::ProxyMemoryPool>(arrow::system_memory_pool());
    int64_t group_bytes = 0;
    std::shared_ptr<arrow::Schema> schema;
    std::shared_ptr<Sink> sink;
    std::unique_ptr<parquet::arrow::FileWriter> writer;
};

arrow::Status mill_pq_make(mill_pq **out, std::shared_ptr<arrow::Schema> schema,
                           const mill_pq_options &o, mill_pq_sink_fn sink, void *arg)
{
    /* What fails half-way is aborted, not closed: see mill_pq_abort. */
    std::unique_ptr<mill_pq, void (*)(mill_pq *)> w(new mill_pq, mill_pq_abort);

    w->schema = std::move(schema);
    w->sink = std::make_shared<Sink>(sink, arg);
    w->group_bytes = o.row_group_bytes;
    ARROW_ASSIGN_OR_RAISE(
        w->writer, parquet::arrow::FileWriter::Open(*w->schema, w->pool.get(), w->sink,
                                                    properties(o, *w->schema, w->pool.get())));
    *out = w.release();
    return arrow::Status::OK();
}

std::shared_ptr<arrow::Schema> mill_pq_schema(const mill_pq *w)
{
    return w->schema;
}

arrow::Status mill_pq_add(mill_pq *w, const arrow::RecordBatch &rows)
{
    if (w->pool->bytes_allocated() > w->group_bytes)
        ARROW_RETURN_NOT_OK(w->writer->NewBufferedRowGroup());
    return w->writer->WriteRecordBatch(rows);
}

extern "C" int mill_pq_open(struct mill_pq **out, struct ArrowSchema *schema,
                            const struct mill_pq_options *o, mill_pq_sink_fn sink, void *arg,
                            char *err, size_t size)
{
    *out = nullptr;
    return guarded(err, size, [&]() -> arrow::Status {
        ARROW_ASSIGN_OR_RAISE(auto columns, arrow::ImportSchema(schema));
        return mill_pq_make(out, std::move(columns), *o, sink, arg);
    });
}

extern "C" int mill_pq_write(struct mill_pq *w, struct ArrowArray *batches, size_t n, int whole,
                             char *err, size_t size)
{
    size_t taken = 0;
    int rc = guarded(err, size, [&]() -> arrow::Status {
        arrow::RecordBatchVector rows;
        while (taken < n) {
            ARROW_ASSIGN_OR_RAISE(auto one, arrow::ImportRecordBatch(&batches[taken++], w->schema));
            rows.push_back(std::move(one));
        }
        if (whole) {
            ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches(w->schema, rows));
            /* A row group has as many rows as the properties say, at most. */
            return w->writer->WriteTable(*table, std::numeric_limits<int64_t>::max());
        }
        for (auto &one : rows) {
            ARROW_RETURN_NOT_OK(mill_pq_add(w, *one));
            one.reset(); /* its memory is of use to the next */
        }
        return arrow::Status::OK();
    });
    for (; taken < n; taken++)
        batches[taken].release(&batches[taken]);
    return rc;
}

extern "C" int64_t mill_pq_held(const struct mill_pq *w)
{
    return w->pool->bytes_allocated();
}

extern "C" int mill_pq_finish(struct mill_pq *w, const struct mill_pq_pair *pairs, size_t n,
                              char *err, size_t size)
{
    int rc = guarded(err, size, [&]() -> arrow::Status {
        auto kv = std::make_shared<arrow::KeyValueMetadata>();
        for (size_t i = 0; i < n; i++)
            kv->Append(pairs[i].key, pairs[i].value);
        ARROW_RETURN_NOT_OK(w->writer->AddKeyValueMetadata(kv));
        return w->writer->Close();
    });
    mill_pq_abort(w);
    return rc;
}

extern "C" void mill_pq_abort(struct mill_pq *w)
{
    if (!w)
        return;
    /* The destructor of an unclosed writer writes what it holds and a footer. */
    if (w->sink)
        w->sink->detach();
    try {
        delete w;
    } catch (const std::exception &) {
        /* nothing is left that a caller could do */
    }
}

extern "C" int mill_pq_footer(const void *tail, size_t n, mill_pq_pair_fn each, void *arg,
                              int64_t *rows, char *err, size_t size)
{
    return guarded(err, size, [&]() -> arrow::Status {
        auto source = std::make_shared<arrow::io::BufferReader>(std::make_shared<arrow::Buffer>(
            static_cast<const uint8_t *>(tail), static_cast<int64_t>(n)));
        auto file = parquet::ReadMetaData(source);
        const auto &pairs = file->key_value_metadata();
        *rows = file->num_rows();
        for (int64_t i = 0; pairs && i < pairs->size(); i++)
            each(arg, pairs->key(i).c_str(), pairs->value(i).c_str());
        each(arg, MILL_PQ_COLUMNS, file->schema()->ToString().c_str());
        return arrow::Status::OK();
    });
}

extern "C" const char *mill_pq_version(void)
{
    return ARROW_VERSION_STRING;
}
