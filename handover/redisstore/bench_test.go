package redisstore_test

import (
	"bytes"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/handover/redisstore"
	"usher/handover/storetest/redistest"
	"usher/messenger"
)

// threads are keys of n threads, in all partitions.
func threads(n int) []messenger.ThreadKey {
	keys := make([]messenger.ThreadKey, n)
	for i := range keys {
		keys[i] = messenger.ThreadKey{Page: "1000000000000001", PSID: messenger.PSID(strconv.Itoa(7_000_000_000_000_000 + i))}
	}
	return keys
}

// BenchmarkAppend stores deliveries of 1, 10 and 100 events of 600 bytes.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			for server, connect := range servers() {
				b.Run(server, func(b *testing.B) {
					rdb := connect(b)
					store := open(b, rdb, limits("a"))
					keys := threads(1000)
					events := make([]messenger.Event, size)
					n := 0
					b.ReportAllocs()
					for b.Loop() {
						for i := range events {
							n++
							events[i] = event(keys[n%len(keys)], strconv.Itoa(n))
							events[i].Text = text
						}
						check(b, store.Append(b.Context(), events))
					}
					b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
				})
			}
		})
	}
}

// text makes an event of about 600 bytes.
var text = strings.Repeat("hello ", 75)

// BenchmarkAppendParallel is a busy webhook: 32 deliveries at once.
func BenchmarkAppendParallel(b *testing.B) {
	for server, connect := range servers() {
		b.Run(server, func(b *testing.B) {
			rdb := connect(b)
			store := open(b, rdb, limits("a"))
			keys := threads(1000)
			var n atomic.Int64
			b.SetParallelism(16) // on two cores
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := int(n.Add(1))
					e := event(keys[i%len(keys)], strconv.Itoa(i))
					e.Text = text
					check(b, store.Append(b.Context(), []messenger.Event{e}))
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkCommit is a step of 1 and of 128 threads: each with its state, an
// effect put and one dropped, and two lines of history.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 128} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			for server, connect := range servers() {
				b.Run(server, func(b *testing.B) {
					rdb := connect(b)
					store := open(b, rdb, redisstore.Options{Durability: redisstore.Memory})
					lease, _, err := store.Acquire(b.Context(), 1, "owner", time.Hour)
					check(b, err)
					keys := threads(size)
					b.ReportAllocs()
					for b.Loop() {
						_, err := store.Commit(b.Context(), step(lease, keys))
						check(b, err)
						lease.Seq++
					}
					b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "threads/s")
				})
			}
		})
	}
}

// step returns what a turn of the engine commits.
func step(lease handover.Lease, keys []messenger.ThreadKey) handover.Commit {
	c := handover.Commit{Lease: lease}
	wake := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	body, line, effect := bytes.Repeat([]byte("s"), 180), bytes.Repeat([]byte("l"), 120), bytes.Repeat([]byte("e"), 300)
	for _, key := range keys {
		name := key.String()
		id := name + "/" + strconv.FormatInt(lease.Seq, 10)
		c.Threads = append(c.Threads, handover.ThreadWrite{Thread: name, Body: body, Wake: wake})
		c.History = append(c.History, handover.HistoryWrite{Thread: name, Body: line}, handover.HistoryWrite{Thread: name, Body: line})
		c.Put = append(c.Put, handover.Pending{ID: id, Body: effect})
		c.Drop = append(c.Drop, name+"/"+strconv.FormatInt(lease.Seq-1, 10))
	}
	return c
}

// BenchmarkRead is an owner that reads a batch of 128.
func BenchmarkRead(b *testing.B) {
	for server, connect := range servers() {
		b.Run(server, func(b *testing.B) {
			rdb := connect(b)
			store := open(b, rdb, limits("a"))
			events := make([]messenger.Event, 128)
			for i := range events {
				events[i] = event(threadIn(1, 0), strconv.Itoa(i))
				events[i].Text = text
			}
			check(b, store.Append(b.Context(), events))
			b.ReportAllocs()
			for b.Loop() {
				_, err := store.Read(b.Context(), 1, 128)
				check(b, err)
			}
		})
	}
}

// BenchmarkMemory tells what Redis keeps, in bytes: of a thread with a body of
// 180 bytes, with a timer, with ten lines of history of 120, and of an event's id.
func BenchmarkMemory(b *testing.B) {
	rdb := dial(b, redis.Options{Addr: redistest.Start(b)})
	store := open(b, rdb, redisstore.Options{Durability: redisstore.Memory})
	const n = 20_000
	keys := threads(n)
	used := func() float64 {
		info, err := rdb.InfoMap(b.Context(), "memory").Result()
		check(b, err)
		bytes, err := strconv.ParseFloat(info["Memory"]["used_memory"], 64)
		check(b, err)
		return bytes
	}
	lease, _, err := store.Acquire(b.Context(), 1, "owner", time.Hour)
	check(b, err)
	commit := func(c handover.Commit) {
		c.Lease = lease
		_, err := store.Commit(b.Context(), c)
		check(b, err)
		lease.Seq++
	}
	measure := func(what string, do func(keys []messenger.ThreadKey)) {
		before := used()
		for i := 0; i < n; i += 500 {
			do(keys[i : i+500])
		}
		b.ReportMetric((used()-before)/n, what)
	}
	for b.Loop() { // once: what is measured is no time
		measure("B/thread", func(keys []messenger.ThreadKey) {
			var c handover.Commit
			for _, k := range keys {
				c.Threads = append(c.Threads, handover.ThreadWrite{Thread: k.String(), Body: bytes.Repeat([]byte("s"), 180)})
			}
			commit(c)
		})
		measure("B/timer", func(keys []messenger.ThreadKey) {
			var c handover.Commit
			for _, k := range keys {
				c.Threads = append(c.Threads, handover.ThreadWrite{Thread: k.String(), Body: bytes.Repeat([]byte("s"), 180), Wake: time.Now().Add(time.Hour)})
			}
			commit(c)
		})
		measure("B/history", func(keys []messenger.ThreadKey) {
			var c handover.Commit
			for _, k := range keys {
				for range 10 {
					c.History = append(c.History, handover.HistoryWrite{Thread: k.String(), Body: bytes.Repeat([]byte("l"), 120)})
				}
			}
			commit(c)
		})
		id := 0
		measure("B/id", func(keys []messenger.ThreadKey) {
			var events []messenger.Event
			for range keys {
				id++
				events = append(events, event(threadIn(1, 0), strconv.Itoa(id)))
			}
			check(b, store.Append(b.Context(), events))
			batch, err := store.Read(b.Context(), 1, 1000)
			check(b, err)
			commit(handover.Commit{Consumed: batch.Entries})
		})
		check(b, rdb.FlushDB(b.Context()).Err())
		lease, _, err = store.Acquire(b.Context(), 1, "owner", time.Hour)
		check(b, err)
	}
}
