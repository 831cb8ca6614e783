/* test_ring.c: blocks go to the workers that other GooseFS clients would choose (spec goosefs 17.2, 17.3). */
#include "client/goosefs/file.h"
#include "client/goosefs/master.h"
#include "client/goosefs/ring.h"
#include "proto/goosefs.h"
#include "tests/unit/unit.h"

#include <string.h>

static void hash_is_murmur3(void **state)
{
	static const struct {
		int64_t key;
		int32_t index;
		int64_t hash;
	} vectors[] = {
		{0, 0, -6568239567428591645},
		{1, 0, 8673688779682957586},
		{1, 4999, -3563829191191880999},
		{-1, 0, 7097917686268154775},
		{42, 7, 1969424773395075097},
		{100, 1, -8854681018154386345},
		{16777216, 0, 114014232877810036},
		{16777216, 1, -4891967136704322893},
		{16777216, 99, 5591382726519961850},
		{16777217, 0, -4121981569212912995},
		{33554432, 0, -179010558583865021},
		{85429583872, 0, -5867849384608515022},
		{8769479697893324776, 0, -6296241382218419536},
		{INT64_MAX, 0, 4980030762743488151},
		{INT64_MIN, 0, 8821556496286403669},
	};

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		assert_true(ring_hash(vectors[i].key, vectors[i].index) == vectors[i].hash);
}

static struct ring *make(const struct gfs_worker *workers, size_t n)
{
	struct gfs_worker_list list = {.workers = workers, .n = n};
	struct ring *ring;

	assert_int_equal(ring_new(&list, &ring), 0);
	return ring;
}

#define WORKER(ID, HOST, PORT, NODES)                                                                                  \
	{                                                                                                              \
		.id = ID, .has_id = true, .host = HOST, .rpc_port = PORT, .virtual_nodes = NODES,                      \
		.has_virtual_nodes = true                                                                              \
	}

static const struct gfs_worker cluster_a[] = {
	WORKER(8769479697893324776, "172.16.16.42", 9203, 200), WORKER(8349952073724719185, "172.16.16.14", 9203, 200),
	WORKER(144281688392029313, "172.16.16.35", 9203, 200),  WORKER(6124739522353643542, "172.16.16.46", 9203, 200),
	WORKER(8816614835528527236, "172.16.16.18", 9203, 200),
};

static void expect(const struct ring *ring, int64_t block, ring_skip_fn *skip, void *context, const int64_t ids[3])
{
	const struct ring_worker *out[3];

	assert_int_equal(ring_select(ring, block, 3, skip, context, out), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(out[i]->id == ids[i]);
	assert_int_equal(ring_select(ring, block, 1, skip, context, out), 1);
	assert_true(out[0]->id == ids[0]);
}

static void cluster_a_chooses(void **state)
{
	static const struct {
		int64_t block, ids[3];
	} rows[] = {
		{85429583872, {8816614835528527236, 8769479697893324776, 6124739522353643542}},
		{85429583873, {8349952073724719185, 8816614835528527236, 8769479697893324776}},
		{85429583874, {8769479697893324776, 8816614835528527236, 8349952073724719185}},
		{85429583875, {6124739522353643542, 8769479697893324776, 144281688392029313}},
		{85429583876, {8769479697893324776, 8816614835528527236, 144281688392029313}},
		{85429583877, {8349952073724719185, 6124739522353643542, 8769479697893324776}},
		{16777216, {6124739522353643542, 8349952073724719185, 8816614835528527236}},
		{16777217, {8769479697893324776, 8816614835528527236, 8349952073724719185}},
		{33554432, {6124739522353643542, 8769479697893324776, 8349952073724719185}},
		{1, {6124739522353643542, 8349952073724719185, 8769479697893324776}},
		{0, {8769479697893324776, 6124739522353643542, 8816614835528527236}},
		{-1, {6124739522353643542, 8769479697893324776, 8816614835528527236}},
		{4611686018427387904, {8349952073724719185, 6124739522353643542, 8769479697893324776}},
	};
	struct ring *ring = make(cluster_a, 5);

	(void)state;
	assert_int_equal(ring->nnodes, 1000);
	assert_true(ring->nodes[0].key == -9220494642820393148);
	assert_true(ring->nodes[1].key == -9149064321920936180);
	assert_true(ring->nodes[2].key == -9144173689218465540);
	assert_true(ring->workers[ring->nodes[2].worker].id == 144281688392029313);
	assert_true(ring->nodes[999].key == 9222346049533773443);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect(ring, rows[i].block, NULL, NULL, rows[i].ids);
	ring_put(ring);
}

static bool skip_address(void *context, const struct ring_worker *worker)
{
	return !strcmp(worker->address, context);
}

static void failed_workers_are_passed_over(void **state)
{
	struct ring *ring = make(cluster_a, 5);
	char failed[] = "172.16.16.18:9203";

	(void)state;
	expect(ring, 85429583872, skip_address, failed,
	       (int64_t[3]){8769479697893324776, 6124739522353643542, 144281688392029313});
	expect(ring, 85429583874, skip_address, failed,
	       (int64_t[3]){8769479697893324776, 8349952073724719185, 144281688392029313});
	expect(ring, 16777216, skip_address, failed,
	       (int64_t[3]){6124739522353643542, 8349952073724719185, 144281688392029313});
	ring_put(ring);
}

static bool skip_all(void *context, const struct ring_worker *worker)
{
	(void)context;
	(void)worker;
	return true;
}

static void when_all_failed_they_are_tried_anyway(void **state)
{
	struct ring *ring = make(cluster_a, 5);

	(void)state;
	expect(ring, 16777216, skip_all, NULL,
	       (int64_t[3]){6124739522353643542, 8349952073724719185, 8816614835528527236});
	ring_put(ring);
}

static void count_choices(const struct ring *ring, unsigned counts[])
{
	for (int64_t i = 1; i <= 10000; i++) {
		const struct ring_worker *w;

		assert_int_equal(ring_select(ring, i << 24, 1, NULL, NULL, &w), 1);
		counts[w - ring->workers]++;
	}
}

static void blocks_spread(void **state)
{
	static const struct gfs_worker cluster_b[] = {WORKER(1, "h1", 9203, 5000), WORKER(2, "h2", 9203, 5000),
						      WORKER(3, "h3", 9203, 5000)};
	unsigned a[5] = {0}, b[3] = {0};
	struct ring *ring = make(cluster_a, 5);

	(void)state;
	count_choices(ring, a);
	ring_put(ring);
	assert_int_equal(a[0], 1976);
	assert_int_equal(a[1], 1965);
	assert_int_equal(a[2], 1988);
	assert_int_equal(a[3], 2255);
	assert_int_equal(a[4], 1816);
	ring = make(cluster_b, 3);
	assert_int_equal(ring->nnodes, 15000);
	assert_true(ring->nodes[0].key == -9222489103397020971);
	assert_true(ring->nodes[14999].key == 9223314693861091450);
	expect(ring, 16777216, NULL, NULL, (int64_t[3]){3, 1, 2});
	expect(ring, 16777217, NULL, NULL, (int64_t[3]){2, 3, 1});
	expect(ring, 16777218, NULL, NULL, (int64_t[3]){3, 2, 1});
	expect(ring, 33554432, NULL, NULL, (int64_t[3]){3, 2, 1});
	expect(ring, 50331648, NULL, NULL, (int64_t[3]){3, 1, 2});
	expect(ring, 67108864, NULL, NULL, (int64_t[3]){1, 3, 2});
	expect(ring, 83886080, NULL, NULL, (int64_t[3]){3, 1, 2});
	expect(ring, 1099511627776, NULL, NULL, (int64_t[3]){3, 1, 2});
	count_choices(ring, b);
	ring_put(ring);
	assert_int_equal(b[0], 3319);
	assert_int_equal(b[1], 3243);
	assert_int_equal(b[2], 3438);
}

static void one_worker_per_host(void **state)
{
	static const struct gfs_worker cluster_c[] = {WORKER(1, "w1", 9203, 200), WORKER(2, "w1", 9204, 200),
						      WORKER(3, "w2", 9203, 200), WORKER(4, "w3", 9203, 200)};
	struct ring *ring = make(cluster_c, 4);

	(void)state;
	expect(ring, 42, NULL, NULL, (int64_t[3]){2, 3, 4});
	ring_put(ring);
}

static void absent_ids_are_places_in_the_list(void **state)
{
	static const struct gfs_worker cluster_d[] = {{.host = "a", .rpc_port = 9203}, {.host = "b", .rpc_port = 9203}};
	static const struct {
		int64_t block, index;
	} rows[] = {{16777216, 1}, {33554432, 0}, {50331648, 0}};
	struct ring *ring = make(cluster_d, 2);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const struct ring_worker *w;

		assert_int_equal(ring_select(ring, rows[i].block, 1, NULL, NULL, &w), 1);
		assert_int_equal(w - ring->workers, rows[i].index);
	}
	ring_put(ring);
}

static void odd_lists_do_no_harm(void **state)
{
	static const struct gfs_worker odd[] = {WORKER(1, "", 9203, 200), WORKER(2, "h", 0, 200),
						WORKER(3, "h", 70000, 200), WORKER(4, "g", 9203, 0)};
	const struct ring_worker *out[3];
	struct ring *ring = make(NULL, 0);

	(void)state;
	assert_int_equal(ring_select(ring, 1, 3, NULL, NULL, out), 0);
	ring_put(ring);
	ring = make(odd, 4);
	assert_int_equal(ring_select(ring, 1, 3, NULL, NULL, out), 0);
	ring_put(ring);
}

static void order_of_the_list_does_not_matter(void **state)
{
	struct gfs_worker turned[5];
	struct ring *a = make(cluster_a, 5), *b;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		turned[i] = cluster_a[4 - i];
	b = make(turned, 5);
	assert_true(ring_same(a, b));
	ring_put(b);
	turned[0].rpc_port = 9;
	b = make(turned, 5);
	assert_false(ring_same(a, b));
	ring_put(b);
	ring_put(a);
}

static void ids(void **state)
{
	static const unsigned char one[16] = {0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x41, 0xd0,
					      0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6};
	struct gfs_op_id op = op_id_from_bytes(one);

	(void)state;
	assert_true(op.most == -568210367123275312 && op.least == -6384696206158828554);
	op = op_id_new();
	assert_int_equal(op.most >> 12 & 0xf, 4);
	assert_true(block_id_of(33554431, 3) == 16777219);
	assert_true(block_id_of(50331647, 1) == 33554433);
	assert_true(block_id_of(33554432, 0) == 33554432);
	assert_true(block_id_of(85429583871, 0) == 85412806656);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_is_murmur3),
		cmocka_unit_test(cluster_a_chooses),
		cmocka_unit_test(failed_workers_are_passed_over),
		cmocka_unit_test(when_all_failed_they_are_tried_anyway),
		cmocka_unit_test(blocks_spread),
		cmocka_unit_test(one_worker_per_host),
		cmocka_unit_test(absent_ids_are_places_in_the_list),
		cmocka_unit_test(odd_lists_do_no_harm),
		cmocka_unit_test(order_of_the_list_does_not_matter),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
