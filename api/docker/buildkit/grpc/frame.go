package grpc

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MaxMessage bounds a message, bytes: what BuildKit's programs allow each other.
const MaxMessage = 16 << 20

// contentType of requests and answers; a client may say more after it (+proto).
const contentType = "application/grpc"

// readMessage returns the next message of r; io.EOF when there is none any more.
//
// "Length-Prefixed-Message → Compressed-Flag Message-Length Message"
func readMessage(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[0] != 0 {
		return nil, Errorf(Unimplemented, "a message is compressed, which was not agreed on")
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > MaxMessage {
		return nil, Errorf(ResourceExhausted, "a message has %d bytes; at most %d are allowed", size, MaxMessage)
	}
	var msg []byte
	var err error
	if size <= believed {
		msg = make([]byte, size)
		_, err = io.ReadFull(r, msg)
	} else if msg, err = io.ReadAll(io.LimitReader(r, int64(size))); err == nil && len(msg) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("a message is cut off: %w", err)
	}
	return msg, nil
}

// believed is the size, bytes, up to which there is room for a message before it has come.
const believed = 256 << 10

// frame is msg as it is sent.
func frame(msg []byte) []byte {
	b := make([]byte, 5, 5+len(msg))
	binary.BigEndian.PutUint32(b[1:], uint32(len(msg)))
	return append(b, msg...)
}
