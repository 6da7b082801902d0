package redisstore

import (
	"strconv"
	"strings"

	"usher/messenger"
)

// keys names every key that this package uses. What is not a partition's:
//
//	<prefix>:install  HASH     partitions, schema: what Usher was installed with
//	<prefix>:members  ZSET     live processes, scored by the ms at which they expire
//	<prefix>:wake     channel  numbers of partitions to look at; -1 for the members and the pauses
//	<prefix>:pause:<page>  HASH  expiry = ms, why: the Page's calls are stopped until then; expires
//	<prefix>:watch:<page>  HASH  the Page's deliveries, see watch.lua; expires
type keys string // <prefix>

func (k keys) install() string { return string(k) + ":install" }
func (k keys) members() string { return string(k) + ":members" }
func (k keys) wake() string    { return string(k) + ":wake" }

func (k keys) pause(page messenger.PageID) string { return string(k) + ":pause:" + string(page) }
func (k keys) watch(page messenger.PageID) string { return string(k) + ":watch:" + string(page) }

// partitions returns the keys of the n partitions.
func (k keys) partitions(n int) []partition {
	ps := make([]partition, n)
	for i := range ps {
		base := string(k) + ":{p" + strconv.Itoa(i) + "}:"
		ps[i] = partition{
			n: i, number: strconv.Itoa(i), base: base,
			in: base + "in", seen: [2]string{base + "dd0", base + "dd1"}, meta: base + "meta", timers: base + "tm", outbox: base + "ob",
			buried: base + "dlq", episodes: base + "ep", scratch: base + "scratch",
		}
	}
	return ps
}

// anyThread matches the key of every thread of every partition.
func (k keys) anyThread() string { return string(k) + ":{p*}:t:*" }

// partition names the keys of one partition, <prefix>:{p<n>}:<name>. They share
// their hash tag, so that a Redis Cluster keeps them together.
type partition struct {
	n        int
	number   string    // <n>
	base     string    // <prefix>:{p<n>}:
	in       string    // in   STREAM  accepted entries: k = kind, b = body, m = marks; consumed ones are gone
	seen     [2]string // dd0, dd1  SET  marks of what was consumed and of what was sent, ids of echoed effects; new ones go to one of them, see renew.lua
	meta     string    // meta HASH    token, expiry, epoch, clean, began, schema; seq, commit, known; foreign; marks, marked
	timers   string    // tm   ZSET    threads, scored by the ms of their wake
	outbox   string    // ob   HASH    pending effects by id
	buried   string    // dlq  STREAM  what was set aside: t = thread, c = cause, a = ms, b = body
	episodes string    // ep   STREAM  episodes that ended: b = body
	scratch  string    //              never exists, see commit.lua
}

// A thread's own keys: its body (STRING) and its history (LIST); both expire.
func (p *partition) thread(thread string) string  { return p.base + "t:" + thread }
func (p *partition) history(thread string) string { return p.base + "h:" + thread }

// threadOf returns the thread that a key of [partition.thread] names.
func threadOf(key string) (messenger.ThreadKey, error) {
	_, thread, _ := strings.Cut(key, "}:t:")
	return messenger.ParseThreadKey(thread)
}
