# Finds every library as a pkg-config imported target. librdkafka >= 2.3 is needed (2.0 loses records
# of the batch-consume calls in a rebalance): where the system's is older, deploy/local/setup has put
# one into the user cache.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

set(MILL_RDKAFKA_MIN 2.3)
set(MILL_CACHE "$ENV{XDG_CACHE_HOME}")
if(NOT MILL_CACHE)
  set(MILL_CACHE "$ENV{HOME}/.cache")
endif()
file(GLOB mill_rdkafka_dirs "${MILL_CACHE}/sendmill/librdkafka/*/usr/lib/*/pkgconfig")
foreach(dir IN LISTS mill_rdkafka_dirs)
  set(ENV{PKG_CONFIG_PATH} "${dir}:$ENV{PKG_CONFIG_PATH}")
endforeach()

pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka>=${MILL_RDKAFKA_MIN})
pkg_check_modules(AVRO REQUIRED IMPORTED_TARGET avro-c)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.75)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)
# libidn2 is built on libunistring, which has no pkg-config file: mail links it by name.
pkg_check_modules(IDN2 REQUIRED IMPORTED_TARGET libidn2)
