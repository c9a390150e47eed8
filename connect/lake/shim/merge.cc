/* The way of rows from several files into one whose columns hold them all. */
#include "inside.h"

#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <vector>

namespace
{

using Type = std::shared_ptr<arrow::DataType>;
using Data = std::shared_ptr<arrow::ArrayData>;

constexpr int64_t BATCH_BYTES = 4 << 20, BATCH_ROWS = 64 << 10;

/** A file that is read by a callback. */
class Source final : public Stream<arrow::io::RandomAccessFile>
{
  public:
    explicit Source(const mill_pq_source &s) : s_(s)
    {
    }
    arrow::Status Seek(int64_t to) override
    {
        pos_ = to;
        return arrow::Status::OK();
    }
    arrow::Result<int64_t> GetSize() override
    {
        return static_cast<int64_t>(s_.bytes);
    }
    arrow::Result<int64_t> ReadAt(int64_t from, int64_t n, void *out) override
    {
        auto size = static_cast<int64_t>(s_.bytes);
        if (from < 0 || n < 0 || from > size)
            return arrow::Status::IOError("read outside of the file");
        n = std::min(n, size - from);
        int e = n ? s_.read(s_.arg, static_cast<uint64_t>(from), out, static_cast<size_t>(n)) : 0;
        if (e == ENOMEM)
            return arrow::Status::OutOfMemory("input buffer");
        if (e != 0)
            return arrow::Status::IOError("input: errno ", e);
        return n;
    }
    arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t from, int64_t n) override
    {
        ARROW_ASSIGN_OR_RAISE(auto buffer,
                              arrow::AllocateResizableBuffer(n, arrow::system_memory_pool()));
        ARROW_ASSIGN_OR_RAISE(int64_t got, ReadAt(from, n, buffer->mutable_data()));
        ARROW_RETURN_NOT_OK(buffer->Resize(got));
        return std::shared_ptr<arrow::Buffer>(std::move(buffer));
    }
    arrow::Result<int64_t> Read(int64_t n, void *out) override
    {
        ARROW_ASSIGN_OR_RAISE(int64_t got, ReadAt(pos_, n, out));
        pos_ += got;
        return got;
    }
    arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t n) override
    {
        ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(pos_, n));
        pos_ += buffer->size();
        return buffer;
    }

  private:
    mill_pq_source s_;
};

arrow::Result<std::unique_ptr<parquet::arrow::FileReader>> open_file(const mill_pq_source &s)
{
    parquet::arrow::FileReaderBuilder b;
    parquet::ReaderProperties raw(arrow::system_memory_pool());
    parquet::ArrowReaderProperties p(false);

    /* In this thread only; what is held is a row group as it lies in the file, and a batch. */
    p.set_pre_buffer(false);
    ARROW_RETURN_NOT_OK(b.Open(std::make_shared<Source>(s), raw));
    auto file = b.raw_reader()->metadata();
    int64_t bytes = 0, rows = std::max<int64_t>(file->num_rows(), 1);
    for (int g = 0; g < file->num_row_groups(); g++)
        bytes += file->RowGroup(g)->total_byte_size();
    p.set_batch_size(std::clamp<int64_t>(BATCH_BYTES / (bytes / rows + 1), 1, BATCH_ROWS));
    b.properties(p)->memory_pool(arrow::system_memory_pool());
    return b.Build();
}

/* --- columns that hold both ------------------------------------------------------------------ */

arrow::Result<Type> wider(const Type &a, const Type &b);

arrow::Result<std::shared_ptr<arrow::Field>> wider_field(const std::shared_ptr<arrow::Field> &a,
                                                         const std::shared_ptr<arrow::Field> &b)
{
    auto type = wider(a->type(), b->type());

    if (!type.ok())
        return type.status().WithMessage(a->name(), ": ", type.status().message());
    bool nullable = a->nullable() || b->nullable() || a->type()->id() == arrow::Type::NA ||
                    b->type()->id() == arrow::Type::NA;
    return arrow::field(a->name(), *type, nullable);
}

/** Members of a, widened, then those that only b has. */
arrow::Result<arrow::FieldVector> wider_fields(const arrow::FieldVector &a,
                                               const arrow::FieldVector &b)
{
    arrow::FieldVector out;
    auto find = [](const arrow::FieldVector &v, const std::string &name) {
        auto at = std::find_if(v.begin(), v.end(), [&](auto &f) { return f->name() == name; });
        return at == v.end() ? nullptr : *at;
    };

    for (const auto &f : a) {
        auto other = find(b, f->name());
        if (!other) {
            out.push_back(f->WithNullable(true));
            continue;
        }
        ARROW_ASSIGN_OR_RAISE(auto both, wider_field(f, other));
        out.push_back(both);
    }
    for (const auto &f : b)
        if (!find(a, f->name()))
            out.push_back(f->WithNullable(true));
    return out;
}

arrow::Result<Type> wider_nested(const Type &a, const Type &b)
{
    switch (a->id()) {
    case arrow::Type::STRUCT: {
        ARROW_ASSIGN_OR_RAISE(auto fields, wider_fields(a->fields(), b->fields()));
        return arrow::struct_(fields);
    }
    case arrow::Type::LIST: {
        ARROW_ASSIGN_OR_RAISE(auto item, wider_field(a->field(0), b->field(0)));
        return arrow::list(item);
    }
    case arrow::Type::MAP: {
        const auto &x = static_cast<const arrow::MapType &>(*a);
        const auto &y = static_cast<const arrow::MapType &>(*b);
        ARROW_ASSIGN_OR_RAISE(auto key, wider_field(x.key_field(), y.key_field()));
        ARROW_ASSIGN_OR_RAISE(auto item, wider_field(x.item_field(), y.item_field()));
        return std::make_shared<arrow::MapType>(key, item);
    }
    default:
        return arrow::Status::Invalid(a->ToString(), " does not go with ", b->ToString());
    }
}

arrow::Result<Type> wider(const Type &a, const Type &b)
{
    auto is = [&](arrow::Type::type x, arrow::Type::type y) {
        return (a->id() == x && b->id() == y) || (a->id() == y && b->id() == x);
    };

    if (a->Equals(*b) || b->id() == arrow::Type::NA)
        return a;
    if (a->id() == arrow::Type::NA)
        return b;
    if (is(arrow::Type::INT32, arrow::Type::INT64))
        return arrow::int64();
    if (is(arrow::Type::INT32, arrow::Type::DOUBLE) ||
        is(arrow::Type::FLOAT, arrow::Type::DOUBLE) || is(arrow::Type::INT32, arrow::Type::FLOAT))
        return arrow::float64();
    if (a->id() != b->id())
        return arrow::Status::Invalid(a->ToString(), " does not go with ", b->ToString());
    return wider_nested(a, b);
}

/* --- rows into them -------------------------------------------------------------------------- */

template <class From, class To> arrow::Status convert(const arrow::ArrayData &in, Data &out)
{
    int64_t n = in.offset + in.length;
    ARROW_ASSIGN_OR_RAISE(auto values, arrow::AllocateBuffer(n * static_cast<int64_t>(sizeof(To)),
                                                             arrow::system_memory_pool()));
    auto *to = reinterpret_cast<To *>(values->mutable_data());
    const auto *from = in.GetValues<From>(1, 0);

    std::transform(from, from + n, to, [](From x) { return static_cast<To>(x); });
    out->buffers[1] = std::move(values);
    return arrow::Status::OK();
}

arrow::Result<Data> nulls(const Type &type, int64_t n)
{
    ARROW_ASSIGN_OR_RAISE(auto array, arrow::MakeArrayOfNull(type, n, arrow::system_memory_pool()));
    return array->data();
}

arrow::Result<Data> conform(const Data &in, const Type &type);

/** A struct's members by name: the same rows, those that it has not as nulls. */
arrow::Status conform_members(const Data &in, const Type &type, Data &out)
{
    out->child_data.clear();
    for (const auto &f : type->fields()) {
        int at = static_cast<const arrow::StructType &>(*in->type).GetFieldIndex(f->name());
        ARROW_ASSIGN_OR_RAISE(auto child,
                              at < 0 ? nulls(f->type(), in->offset + in->length)
                                     : conform(in->child_data[static_cast<size_t>(at)], f->type()));
        out->child_data.push_back(child);
    }
    return arrow::Status::OK();
}

arrow::Result<Data> conform(const Data &in, const Type &type)
{
    if (in->type->Equals(*type))
        return in;
    if (in->type->id() == arrow::Type::NA)
        return nulls(type, in->length);
    Data out = in->Copy();
    out->type = type;
    switch (in->type->id()) {
    case arrow::Type::INT32:
        ARROW_RETURN_NOT_OK((type->id() == arrow::Type::INT64
                                 ? convert<int32_t, int64_t>
                                 : convert<int32_t, double>)(*in, out));
        return out;
    case arrow::Type::FLOAT:
        ARROW_RETURN_NOT_OK((convert<float, double>(*in, out)));
        return out;
    case arrow::Type::STRUCT:
        ARROW_RETURN_NOT_OK(conform_members(in, type, out));
        return out;
    case arrow::Type::LIST:
    case arrow::Type::MAP: {
        ARROW_ASSIGN_OR_RAISE(out->child_data[0],
                              conform(in->child_data[0], type->field(0)->type()));
        return out;
    }
    default:
        return arrow::Status::Invalid(in->type->ToString(), " was not widened for");
    }
}

arrow::Status append(mill_pq *w, const mill_pq_source &file, int64_t *rows)
{
    auto schema = mill_pq_schema(w);
    auto columns = arrow::struct_(schema->fields());
    std::shared_ptr<arrow::RecordBatch> batch;

    ARROW_ASSIGN_OR_RAISE(auto reader, open_file(file));
    ARROW_ASSIGN_OR_RAISE(auto batches, reader->GetRecordBatchReader());
    for (;;) {
        ARROW_RETURN_NOT_OK(batches->ReadNext(&batch));
        if (!batch)
            return arrow::Status::OK();
        ARROW_ASSIGN_OR_RAISE(auto one, batch->ToStructArray());
        ARROW_ASSIGN_OR_RAISE(auto data, conform(one->data(), columns));
        std::vector<std::shared_ptr<arrow::ArrayData>> v = data->child_data;
        ARROW_RETURN_NOT_OK(
            mill_pq_add(w, *arrow::RecordBatch::Make(schema, batch->num_rows(), std::move(v))));
        *rows += batch->num_rows();
    }
}

} // namespace

struct mill_pq_wide {
    std::shared_ptr<arrow::Schema> schema;
};

extern "C" int mill_pq_widen(struct mill_pq_wide **w, const struct mill_pq_source *file, char *err,
                             size_t size)
{
    return guarded(err, size, [&]() -> arrow::Status {
        std::shared_ptr<arrow::Schema> schema;
        ARROW_ASSIGN_OR_RAISE(auto reader, open_file(*file));
        ARROW_RETURN_NOT_OK(reader->GetSchema(&schema));
        if (*w) {
            ARROW_ASSIGN_OR_RAISE(auto fields,
                                  wider_fields((*w)->schema->fields(), schema->fields()));
            (*w)->schema = arrow::schema(fields);
        } else {
            /* Without the file's pairs: they are of that file. */
            *w = new mill_pq_wide{arrow::schema(schema->fields())};
        }
        return arrow::Status::OK();
    });
}

extern "C" void mill_pq_wide_free(struct mill_pq_wide *w)
{
    delete w;
}

extern "C" int mill_pq_open_wide(struct mill_pq **out, const struct mill_pq_wide *w,
                                 const struct mill_pq_options *o, mill_pq_sink_fn sink, void *arg,
                                 char *err, size_t size)
{
    *out = nullptr;
    return guarded(err, size, [&]() { return mill_pq_make(out, w->schema, *o, sink, arg); });
}

extern "C" int mill_pq_append(struct mill_pq *w, const struct mill_pq_source *file, int64_t *rows,
                              char *err, size_t size)
{
    return guarded(err, size, [&]() { return append(w, *file, rows); });
}
