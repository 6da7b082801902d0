package redistest

import (
	"io"
	"net"
	"slices"

	"github.com/alicebob/miniredis/v2"
)

// Dial returns a connection to m within this process, without a socket, so that it
// works in a testing/synctest bubble. Unlike that of [miniredis.Miniredis.Dial] it
// has a buffer, as a socket has: a pipeline may be longer than what the server
// reads before it replies.
func Dial(m *miniredis.Miniredis) (net.Conn, error) {
	server, err := m.Dial()
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	sent := make(chan []byte, 1<<10)
	go func() {
		defer close(sent)
		for buf := make([]byte, 32<<10); ; {
			n, err := theirs.Read(buf)
			sent <- slices.Clone(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	go func() {
		for b := range sent {
			_, _ = server.Write(b) // the reader sees that it is gone
		}
		_ = server.Close()
	}()
	go func() {
		_, _ = io.Copy(theirs, server) // until either has gone
		_ = theirs.Close()
	}()
	return ours, nil
}
