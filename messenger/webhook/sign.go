package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
)

// signatureHeader carries the signature of a delivery. The older X-Hub-Signature
// is SHA-1 and never looked at.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
const signatureHeader = "X-Hub-Signature-256"

const (
	signaturePrefix = "sha256="
	signatureLen    = len(signaturePrefix) + 2*sha256.Size
)

// Sign returns what Meta puts into X-Hub-Signature-256: "sha256=" and the
// lowercase hex of the HMAC-SHA256 of body, keyed with the app secret.
func Sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}

// verifier knows one app secret. It is safe for concurrent use.
type verifier struct {
	secret []byte
	macs   sync.Pool // of *mac: keying an HMAC costs as much as a short body
}

// mac is a keyed hash with room for what it is asked.
type mac struct {
	hash      hash.Hash
	sum       []byte
	got, want []byte
}

// signed tells whether signature is that of body, in constant time. Capital
// letters make another signature: Meta writes none.
func (v *verifier) signed(body []byte, signature string) bool {
	m, ok := v.macs.Get().(*mac)
	if !ok {
		m = &mac{hash: hmac.New(sha256.New, v.secret)}
	}
	defer v.macs.Put(m)
	m.hash.Reset()
	m.hash.Write(body)
	m.sum = m.hash.Sum(m.sum[:0])
	m.want = hex.AppendEncode(append(m.want[:0], signaturePrefix...), m.sum)
	m.got = append(m.got[:0], signature...)
	return hmac.Equal(m.got, m.want)
}
