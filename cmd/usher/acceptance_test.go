package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover/storetest/redistest"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What Meta knows the tests' Usher by.
const (
	testApp    = "2262510160704936"
	testPage   = "1000000000000001"
	testSecret = "the-app-secret"
	testToken  = "the-page-token"
	testVerify = "the-verify-token"
	inbox      = "263902037430900"
)

// patience is how long a condition is waited for: far longer than it takes.
const patience = 40 * time.Second

// eventually waits until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline, again := time.NewTimer(patience), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// world is what an operator has: a Redis, the settings that `usher init` writes,
// an environment that fills them in, and something that poses as Graph.
type world struct {
	config string // usher.yaml
	env    map[string]string
	rdb    *redis.Client
}

// newWorld returns a world whose Graph is at graphURL.
func newWorld(t *testing.T, graphURL string) *world {
	t.Helper()
	return newWorldOn(t, redistest.Start(t, "--appendonly", "yes"), graphURL)
}

func newWorldOn(t *testing.T, redisAddr, graphURL string) *world {
	t.Helper()
	dir := t.TempDir()
	if code, _, errs := exec(t, nil, "init", dir); code != exitOK {
		t.Fatalf("usher init exits %d: %s", code, errs)
	}
	w := &world{
		config: filepath.Join(dir, "usher.yaml"),
		rdb:    redis.NewClient(&redis.Options{Addr: redisAddr}),
		env: map[string]string{
			"USHER_REDIS_URL": "redis://" + redisAddr + "/0",
			"USHER_LISTEN":    "127.0.0.1:0", "USHER_PRIVATE_LISTEN": "127.0.0.1:0",
			"USHER_MESSENGER_GRAPH_URL": graphURL, "USHER_MESSENGER_APP_ID": testApp,
			"USHER_MESSENGER_APP_SECRET": testSecret, "USHER_MESSENGER_VERIFY_TOKEN": testVerify,
			"USHER_MESSENGER_PAGES_0_ID": testPage, "USHER_MESSENGER_PAGES_0_ACCESS_TOKEN": testToken,
		},
	}
	t.Cleanup(func() { _ = w.rdb.Close() }) // nothing is left to lose
	return w
}

// usher runs a command line with the world's settings, which must exit with 0,
// and returns what it prints.
func (w *world) usher(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := exec(t, w.env, append(args, "--config", w.config)...)
	if code != exitOK {
		t.Fatalf("usher %s exits %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// story is `usher thread show`.
func (w *world) story(t *testing.T, psid messenger.PSID) string {
	t.Helper()
	return w.usher(t, "thread", "show", string(psid))
}

// idle tells whether everything that was accepted is decided and done. It looks at
// all partitions at once: work moves from one key to another.
func (w *world) idle(t *testing.T) bool {
	t.Helper()
	var waiting []*redis.IntCmd
	_, err := w.rdb.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		for n := range 64 {
			waiting = append(waiting, p.XLen(t.Context(), fmt.Sprintf("usher:{p%d}:in", n)), p.HLen(t.Context(), fmt.Sprintf("usher:{p%d}:ob", n)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(waiting, func(c *redis.IntCmd) bool { return c.Val() > 0 })
}

// settled waits until the world is idle.
func (w *world) settled(t *testing.T) {
	t.Helper()
	eventually(t, "everything accepted is decided and done", func() bool { return w.idle(t) })
}

// dump returns all that is in Redis, by key.
func (w *world) dump(t *testing.T) map[string]string {
	t.Helper()
	ctx := t.Context()
	all := map[string]string{}
	keys, err := w.rdb.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		kind, err := w.rdb.Type(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		var content any
		switch kind {
		case "string":
			content, err = w.rdb.Get(ctx, key).Result()
		case "hash":
			content, err = w.rdb.HGetAll(ctx, key).Result()
		case "list":
			content, err = w.rdb.LRange(ctx, key, 0, -1).Result()
		case "zset":
			content, err = w.rdb.ZRange(ctx, key, 0, -1).Result()
		case "stream":
			var entries []redis.XMessage
			if entries, err = w.rdb.XRange(ctx, key, "-", "+").Result(); len(entries) > 0 {
				content = entries
			}
		}
		if err != nil && !errors.Is(err, redis.Nil) { // nil: gone meanwhile
			t.Fatal(err)
		}
		if content != nil {
			all[key] = fmt.Sprint(content)
		} else {
			all[key] = ""
		}
	}
	return all
}

// replica is a running `usher serve`.
type replica struct {
	url, private string
	logs         *notebook
	stop         func() (code int) // as SIGTERM does; may be called again
}

// serve runs `usher serve` in this process until the test ends.
func (w *world) serve(t *testing.T) *replica {
	t.Helper()
	r := &replica{logs: &notebook{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	exited := make(chan int, 1)
	env := func(name string) (string, bool) { s, ok := w.env[name]; return s, ok }
	go func() {
		exited <- run(ctx, []string{"serve", "--config", w.config}, env, strings.NewReader(""), io.Discard, r.logs)
	}()
	r.stop = sync.OnceValue(func() int { cancel(); return <-exited })
	t.Cleanup(func() {
		if code := r.stop(); code != exitOK {
			t.Errorf("usher serve exits %d, want 0\n%s", code, r.logs)
		}
		wantKnownFields(t, r.logs.String())
	})
	r.awaitUp(t)
	return r
}

// awaitUp waits until the replica says where it listens.
func (r *replica) awaitUp(t *testing.T) {
	t.Helper()
	var up struct {
		Message, Listen string
		PrivateListen   string `json:"private_listen"`
	}
	eventually(t, "usher serve is up", func() bool {
		for line := range strings.Lines(r.logs.String()) {
			if json.Unmarshal([]byte(line), &up) == nil && up.Message == "Usher is up" {
				return true
			}
		}
		return false
	})
	r.url, r.private = "http://"+up.Listen, "http://"+up.PrivateListen
}

// notebook is an io.Writer that can be read meanwhile.
type notebook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to the notebook.
func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(b)
}

// String returns all that was written.
func (n *notebook) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// post delivers a body as Meta does, and returns the status of the answer.
func (r *replica) post(t *testing.T, body []byte) int {
	t.Helper()
	return r.postSigned(t, body, signed(body))
}

func (r *replica) postSigned(t *testing.T, body []byte, signature http.Header) int {
	t.Helper()
	status, err := deliver(t.Context(), r.url, body, signature)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func deliver(ctx context.Context, url string, body []byte, signature http.Header) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/webhook", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	maps.Copy(req.Header, signature)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// get returns the status and the body of a GET.
func get(t *testing.T, url string, headers http.Header) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, headers)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// signed is the header with the signature of a body.
func signed(body []byte) http.Header {
	return http.Header{"X-Hub-Signature-256": {"sha256=" + hmacHex(testSecret, body)}}
}

// hmacHex signs without the help of the code under test.
func hmacHex(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// metaWorld is a world with a simulated Meta, which is reached over HTTP both ways.
type metaWorld struct {
	*world
	*replica

	meta *simulator.Meta
}

// newMetaWorld returns one whose environment has some settings more, by name.
func newMetaWorld(t *testing.T, settings ...string) *metaWorld {
	t.Helper()
	meta, graphURL := newTestMeta(t, simulator.Options{})
	w := newWorld(t, graphURL)
	for i := 0; i < len(settings); i += 2 {
		w.env[settings[i]] = settings[i+1]
	}
	r := w.serve(t)
	meta.ListenAt(r.url + "/webhook")
	return &metaWorld{world: w, replica: r, meta: meta}
}

// newTestMeta returns a simulated Meta and where its Graph is.
func newTestMeta(t *testing.T, o simulator.Options) (meta *simulator.Meta, graphURL string) {
	t.Helper()
	o.App, o.AppSecret, o.VerifyToken, o.PageToken, o.Page = testApp, testSecret, testVerify, testToken, testPage
	o.CheckProof = true
	meta, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return meta, serveMeta(t, meta)
}

// serveMeta serves Graph until the test ends, and returns where.
func serveMeta(t *testing.T, meta *simulator.Meta) (graphURL string) {
	t.Helper()
	server := httptest.NewServer(meta)
	t.Cleanup(server.Close)
	t.Cleanup(meta.Close)
	return server.URL
}

// settle waits until every webhook is stored, every event decided and every call
// made: twice, as a call that ends may lead to an echo, and that to a call.
func (w *metaWorld) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 2 {
		if err := w.meta.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		w.settled(t)
	}
}

// calls returns the Graph calls for a customer, of the edges given. Those that
// fail on purpose are recorded without an app.
func (w *metaWorld) calls(psid messenger.PSID, edges ...string) []simulator.Call {
	var out []simulator.Call
	for _, c := range w.meta.Calls(edges...) {
		if c.PSID == psid && (c.App == testApp || c.App == "") {
			out = append(out, c)
		}
	}
	return out
}
