package webhook

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The signature is what other implementations compute: RFC 4231's test case 2.
func TestSign(t *testing.T) {
	t.Parallel()
	const want = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := Sign([]byte("Jefe"), []byte("what do ya want for nothing?")); got != want {
		t.Errorf("Sign = %s, want %s", got, want)
	}
}

// One verifier serves many requests at once, and its hashers forget what they saw.
func TestVerifierConcurrently(t *testing.T) {
	t.Parallel()
	v := &verifier{secret: []byte("secret")}
	var wg sync.WaitGroup
	for i := range 8 {
		body := []byte(strings.Repeat(strconv.Itoa(i), 100*i))
		good := Sign([]byte("secret"), body)
		wg.Go(func() {
			for range 200 {
				if !v.signed(body, good) || v.signed(append(body, ' '), good) || v.signed(body, strings.ToUpper(good)) || v.signed(body, "") {
					t.Errorf("verifier is wrong about a body of %d bytes", len(body))
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkVerify is the signature of one body alone.
func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{500, 50_000} {
		v := &verifier{secret: []byte("0123456789abcdef0123456789abcdef")}
		body := make([]byte, size)
		signature := Sign(v.secret, body)
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if !v.signed(body, signature) {
					b.Fatal("not signed")
				}
			}
		})
	}
}
