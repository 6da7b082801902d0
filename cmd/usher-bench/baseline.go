package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"usher/messenger"
	"usher/messenger/webhook"
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
answers 200; sketch verifies it, appends its events to a stream, answers 200 and sends
a reply to each, with neither state, order, deduplication nor recovery.`,
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
				h = newSketch(redis.NewClient(o), graphURL)
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

// sketch is the least that answers a webhook without losing it.
type sketch struct {
	rdb   *redis.Client
	graph string
	http  *http.Client
	jobs  chan messenger.Event
}

func newSketch(rdb *redis.Client, graph string) *sketch {
	const senders, room = 64, 1 << 16
	s := &sketch{
		rdb: rdb, graph: graph, jobs: make(chan messenger.Event, room),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}},
	}
	for range senders {
		go func() {
			for e := range s.jobs {
				s.send(e)
			}
		}()
	}
	return s
}

// ServeHTTP verifies, appends, answers; the reply follows.
func (s *sketch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !hmac.Equal([]byte(r.Header.Get("X-Hub-Signature-256")), []byte(webhook.Sign([]byte(appSecret), body))) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	events, err := webhook.Decode(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if err := appendTo(r.Context(), s.rdb, events); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
	for i := range events {
		s.jobs <- events[i]
	}
}

// appendTo appends events to a stream, each as an entry of its own, in one round trip.
func appendTo(ctx context.Context, rdb *redis.Client, events []messenger.Event) error {
	pipe := rdb.Pipeline()
	for i := range events {
		body, err := events[i].Marshal()
		if err != nil {
			return err
		}
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: "sketch", Values: []any{"b", body}})
	}
	_, err := pipe.Exec(ctx)
	return err
}

func (s *sketch) send(e messenger.Event) {
	body := fmt.Appendf(nil, `{"recipient":{"id":%q},"messaging_type":"RESPONSE","message":{"text":%q}}`, e.Thread.PSID, loadReply)
	url := s.graph + "/" + baseVersion + "/" + string(e.Thread.Page) + "/messages"
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
