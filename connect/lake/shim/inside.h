/**
 * @file inside.h
 * @brief What the shim's files share; C++, for nobody else.
 */
#ifndef MILL_SHIM_INSIDE_H
#define MILL_SHIM_INSIDE_H

#include "shim.h"

#include <arrow/result.h>
#include <arrow/status.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>

namespace arrow
{
class RecordBatch;
class Schema;
} // namespace arrow

/** @brief A writer of these columns. @own new in *out */
arrow::Status mill_pq_make(mill_pq **out, std::shared_ptr<arrow::Schema> schema,
                           const mill_pq_options &o, mill_pq_sink_fn sink, void *arg);
std::shared_ptr<arrow::Schema> mill_pq_schema(const mill_pq *w);
/** @brief Add rows of exactly the writer's columns. */
arrow::Status mill_pq_add(mill_pq *w, const arrow::RecordBatch &rows);

/** What every file that is a callback has: a position, and an end that closes nothing. */
template <class Base> class Stream : public Base
{
  public:
    arrow::Status Close() override
    {
        closed_ = true;
        return arrow::Status::OK();
    }
    bool closed() const override
    {
        return closed_;
    }
    arrow::Result<int64_t> Tell() const override
    {
        return pos_;
    }

  protected:
    int64_t pos_ = 0;

  private:
    bool closed_ = false;
};

inline int failed(const char *text, int code, char *err, size_t size)
{
    std::snprintf(err, size, "%s", text);
    return code;
}

/** No exception and no Status leaves the shim. */
template <class F> int guarded(char *err, size_t size, F &&f)
{
    try {
        arrow::Status st = f();
        if (st.ok())
            return 0;
        return failed(st.ToString().c_str(),
                      st.IsOutOfMemory() ? ENOMEM
                      : st.IsIOError()   ? EIO
                                         : EINVAL,
                      err, size);
    } catch (const std::bad_alloc &) {
        return failed("out of memory", ENOMEM, err, size);
    } catch (const std::exception &e) {
        return failed(e.what(), EINVAL, err, size);
    }
}

#endif
