//go:build unix

package graph

import (
	"crypto/tls"
	"net"
	"syscall"
)

// quiet tells whether the other side of an idle connection has neither closed it nor
// said anything that nobody asked for.
func quiet(c net.Conn) bool {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true // none of the operating system's
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var looked error
	var buf [1]byte
	err = raw.Read(func(fd uintptr) bool {
		_, looked = syscall.Read(int(fd), buf[:])
		return true
	})
	return err == nil && (looked == syscall.EAGAIN || looked == syscall.EWOULDBLOCK)
}
