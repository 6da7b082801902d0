package graph_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"usher/messenger/graph"
)

// usual is a message like most: a text with quick replies.
var usual = graph.Message{
	Text: "Our shop is open from 9 to 17.", Metadata: "e_0123456789abcdef",
	QuickReplies: []graph.QuickReply{{Title: "Talk to a human", Payload: "HUMAN"}, {Title: "Prices", Payload: "PRICES"}},
}

// wireAnswer is an answer as Meta writes it.
func wireAnswer(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nVary: Origin, Accept-Encoding\r\n"+
		"X-App-Usage: {\"call_count\":28,\"total_time\":25,\"total_cputime\":25}\r\n"+
		"X-Business-Use-Case-Usage: {\"1000000000000001\":[{\"type\":\"messenger\",\"call_count\":1,\"total_time\":1,\"total_cputime\":1}]}\r\n"+
		"Facebook-API-Version: v26.0\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// A send over TCP to a server that does next to nothing; one over a connection that
// is none, where all that is left is ours; and one through types of net/http.
func BenchmarkSend(b *testing.B) {
	sent := strings.ReplaceAll(strings.TrimSpace(recorded(b, "sent")), " ", "") // as Meta writes it
	b.Run("tcp", func(b *testing.B) {
		l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // the benchmark is over
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go answerAll(conn, []byte(wireAnswer(sent)))
			}
		}()
		benchmarkSend(b, clientOf(b, graph.Options{BaseURL: "http://" + l.Addr().String()}).Over(b, new(net.Dialer).DialContext, nil))
	})
	b.Run("no_network", func(b *testing.B) {
		dial := func(context.Context, string, string) (net.Conn, error) { return canned(wireAnswer(sent)), nil }
		benchmarkSend(b, clientOf(b, graph.Options{BaseURL: "http://localhost"}).Over(b, dial, nil))
	})
	b.Run("net_http", func(b *testing.B) {
		benchmarkSend(b, clientOf(b, graph.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			_, err := io.Copy(io.Discard, r.Body)
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(sent))}, err
		})}))
	})
}

func benchmarkSend(b *testing.B, c *graph.Client) {
	b.Helper()
	work, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(work, graph.DefaultTimeout) // as senders do
		_, err := c.Send(ctx, ada, usual)
		cancel()
		if err != nil {
			b.Fatal(err)
		}
	}
}

// answerAll answers all that is said on a connection. Each request comes in one piece.
func answerAll(conn net.Conn, text []byte) {
	defer conn.Close() //nolint:errcheck // nothing is left to lose
	for request := make([]byte, 4096); ; {
		if _, err := conn.Read(request); err != nil {
			return
		}
		if _, err := conn.Write(text); err != nil {
			return
		}
	}
}

// canned is a connection on which the same is answered whatever is said.
type canned string

func (canned) Write(b []byte) (int, error)      { return len(b), nil }
func (c canned) Read(b []byte) (int, error)     { return copy(b, c), nil }
func (canned) Close() error                     { return nil }
func (canned) LocalAddr() net.Addr              { return nil }
func (canned) RemoteAddr() net.Addr             { return nil }
func (canned) SetDeadline(time.Time) error      { return nil }
func (canned) SetReadDeadline(time.Time) error  { return nil }
func (canned) SetWriteDeadline(time.Time) error { return nil }
