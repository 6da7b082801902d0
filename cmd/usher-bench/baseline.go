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
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

// The yardsticks of a load run.
const (
	baselineRedis  = "redis"
	baselineEcho   = "echo"
	baselineSketch = "sketch"
)

// baselineCommand runs a yardstick in a process of its own, as Usher has one. It
// prints its address.
func (p *program) baselineCommand() *cobra.Command {
	var redisURL, graphURL string
	c := &cobra.Command{
		Use:   "baseline echo|sketch",
		Short: "Serve a yardstick for load runs",
		Long: `Serves the webhook as a yardstick does, until it is interrupted: echo reads a body and
answers 200; sketch verifies it, appends its events to a stream, answers 200, and sends
a reply to each event that it reads there, customer by customer in order. It keeps no
state and knows no duplicates.`,
		Example: "  usher-bench baseline echo\n  usher-bench baseline sketch --redis redis://localhost:6379/0 --graph http://127.0.0.1:9090",
		Args:    cobra.ExactArgs(1),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var h http.Handler
			switch args[0] {
			case baselineEcho:
				h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(http.StatusOK)
				})
			case baselineSketch:
				o, err := redis.ParseURL(redisURL)
				if err != nil {
					return err
				}
				o.PoolSize = 64
				h = newSketch(cmd.Context(), redis.NewClient(o), graphURL)
			default:
				return fmt.Errorf("%w: %q", errYardstick, args[0])
			}
			return serveBaseline(cmd.Context(), h, p.stdout)
		},
	}
	c.Flags().StringVar(&redisURL, "redis", "redis://localhost:6379/0", "where the sketch appends")
	c.Flags().StringVar(&graphURL, "graph", "http://127.0.0.1:9090", "where it sends")
	return c
}

var errYardstick = errors.New("want echo or sketch")

func serveBaseline(ctx context.Context, h http.Handler, out io.Writer) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintln(out, "http://"+l.Addr().String()+"/webhook")
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// sketch is the least that answers webhooks and loses none of them, as one would write
// it with what Go brings along: what it acknowledges stands in a stream, what it reads
// from there it answers, customer by customer in order, and in its next life all of it
// once more. It has nothing of Usher's, so that Usher cannot make its own yardstick
// faster.
type sketch struct {
	rdb    *redis.Client
	graph  string
	http   *http.Client
	queues map[string]chan message // by customer; only read uses it
}

// message is what the sketch reads of a customer's message.
type message struct {
	page, customer, mid, text string
}

// newSketch returns a sketch that answers until ctx ends.
func newSketch(ctx context.Context, rdb *redis.Client, graph string) *sketch {
	s := &sketch{
		rdb: rdb, graph: graph, queues: map[string]chan message{},
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}},
	}
	go s.read(ctx)
	return s
}

// read queues what stands in the stream.
func (s *sketch) read(ctx context.Context) {
	for last := "0"; ctx.Err() == nil; {
		streams, err := s.rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{sketchStream}, ID: last, Count: 128}).Result()
		if err != nil {
			pause(ctx, 100*time.Millisecond) // Redis is away
			continue
		}
		for _, entry := range streams[0].Messages {
			last = entry.ID
			of := func(field string) string { text, _ := entry.Values[field].(string); return text }
			m := message{page: of("page"), customer: of("customer"), mid: of("mid"), text: of("text")}
			s.queue(m) <- m
		}
	}
}

// queue returns where a customer's messages wait for their turn.
func (s *sketch) queue(m message) chan message {
	q := s.queues[m.customer]
	if q == nil {
		q = make(chan message, 64)
		s.queues[m.customer] = q
		go func() {
			for m := range q {
				s.send(m)
			}
		}()
	}
	return q
}

// ServeHTTP verifies, appends and answers.
func (s *sketch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !signed(body, r.Header.Get("X-Hub-Signature-256")) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	messages, err := messagesOf(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if err := s.store(r.Context(), messages); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func signed(body []byte, signature string) bool {
	mac := hmac.New(sha256.New, []byte(appSecret))
	_, _ = mac.Write(body) // a hash takes all
	return hmac.Equal([]byte(signature), []byte("sha256="+hex.EncodeToString(mac.Sum(nil))))
}

func messagesOf(body []byte) (messages []message, err error) {
	var delivery struct {
		Entry []struct {
			ID        string `json:"id"`
			Messaging []struct {
				Sender struct {
					ID string `json:"id"`
				} `json:"sender"`
				Message struct {
					MID  string `json:"mid"`
					Text string `json:"text"`
				} `json:"message"`
			} `json:"messaging"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(body, &delivery); err != nil {
		return nil, err
	}
	for _, e := range delivery.Entry {
		for _, m := range e.Messaging {
			messages = append(messages, message{e.ID, m.Sender.ID, m.Message.MID, m.Message.Text})
		}
	}
	return messages, nil
}

// store appends messages to a stream, one after the other.
func (s *sketch) store(ctx context.Context, messages []message) error {
	for _, m := range messages {
		entry := redis.XAddArgs{Stream: sketchStream, Values: []any{"page", m.page, "customer", m.customer, "mid", m.mid, "text", m.text}}
		if err := s.rdb.XAdd(ctx, &entry).Err(); err != nil {
			return err
		}
	}
	return nil
}

// The streams to which yardsticks append.
const (
	redisStream  = "yardstick:redis"
	sketchStream = "yardstick:sketch"
)

func (s *sketch) send(m message) {
	body := fmt.Appendf(nil, `{"recipient":{"id":%q},"messaging_type":"RESPONSE","message":{"text":%q}}`, m.customer, loadReply)
	url := s.graph + "/" + baseVersion + "/" + m.page + "/messages"
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body)) // it has no owner to wait for
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+pageToken)
	res, err := s.http.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, res.Body) // nobody reads it
	_ = res.Body.Close()
}

// startYardsticks starts what Usher is measured beside.
func (b *bench) startYardsticks(ctx context.Context) error {
	o, err := redis.ParseURL(b.redis.url)
	if err != nil {
		return err
	}
	o.PoolSize = b.o.connections
	rdb := redis.NewClient(o)
	// What they append is of no use to anybody, and would make Redis slower for all.
	forget := func(ctx context.Context) error { return rdb.Unlink(ctx, redisStream, sketchStream).Err() }
	b.all = append(b.all, &subject{name: baselineRedis, mute: true, forget: forget, end: rdb.Close, instead: func(ctx context.Context, body []byte) bool {
		pipe := rdb.Pipeline()
		for event := range slices.Chunk(body, len(body)/b.d.batch) { // as large as one, and as many
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: redisStream, Values: []any{"b", event}})
		}
		_, err := pipe.Exec(ctx)
		return err == nil
	}})
	for _, name := range []string{baselineEcho, baselineSketch} {
		c, url, err := startBaseline(ctx, name, b.redis.url, "http://"+b.graph.address())
		if err != nil {
			return err
		}
		b.all = append(b.all, &subject{name: name, urls: []string{url}, pids: []int{c.cmd.Process.Pid}, mute: name == baselineEcho, forget: forget, end: c.kill})
	}
	return nil
}

// startBaseline runs a yardstick, and returns its process and address.
func startBaseline(ctx context.Context, name, redisURL, graph string) (c *child, url string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	said := make(chan string, 1)
	c, err = start(name, os.Environ(), func(line string) { //nolint:forbidigo // its environment is ours
		select {
		case said <- line:
		default:
		}
	}, self, "baseline", name, "--redis", redisURL, "--graph", graph)
	if err != nil {
		return nil, "", err
	}
	select {
	case url = <-said:
		return c, url, nil
	case <-c.ended:
		return nil, "", fmt.Errorf("%w: %s", errEnded, name)
	case <-ctx.Done():
		return nil, "", errors.Join(ctx.Err(), c.kill())
	}
}
