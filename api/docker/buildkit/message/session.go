package message

import (
	"io/fs"
	"time"
)

// Packet is fsutil.types.Packet: of a transfer of files.
type Packet struct {
	Type PacketType
	Stat *Stat // of PacketStat; nil = there are no more
	ID   uint32
	Data []byte // of PacketData: empty = the file's end; of PacketErr a text
}

// PacketType says what a packet means.
type PacketType uint64

// The types.
const (
	PacketStat PacketType = iota
	PacketReq
	PacketData
	PacketFin
	PacketErr
)

// Stat is fsutil.types.Stat: a file, directory or link.
type Stat struct {
	Path     string
	Mode     fs.FileMode
	Size     int64
	ModTime  time.Time
	Linkname string
}

// ReadPacket reads one. Its Data is of b.
func ReadPacket(b []byte) (p Packet, err error) {
	err = each(b, func(f field) error {
		switch f.Number {
		case 1:
			p.Type = PacketType(f.n)
		case 2:
			p.Stat = &Stat{}
			return p.Stat.read(f.bytes)
		case 3:
			p.ID = uint32(f.n)
		case 4:
			p.Data = f.bytes
		}
		return nil
	})
	return p, err
}

func (s *Stat) read(b []byte) error {
	return each(b, func(f field) error {
		switch f.Number {
		case 1:
			s.Path = f.string()
		case 2:
			s.Mode = fs.FileMode(f.n)
		case 5:
			s.Size = int64(f.n)
		case 6:
			s.ModTime = time.Unix(0, int64(f.n))
		case 7:
			s.Linkname = f.string()
		}
		return nil
	})
}

// Encode is p as it is sent. Who receives files sends none.
func (p Packet) Encode() []byte {
	var e encoder
	e.varint(1, uint64(p.Type))
	e.varint(3, uint64(p.ID))
	e.bytes(4, p.Data)
	return e
}

// Named is a message that has a text in field 1: GetSecretRequest, CredentialsRequest.
func Named(name string) []byte {
	var e encoder
	e.string(1, name)
	return e
}

// ReadData reads a message that has bytes in field 1: GetSecretResponse, BytesMessage.
func ReadData(b []byte) (data []byte, err error) {
	err = each(b, func(f field) error {
		if f.Number == 1 {
			data = f.bytes
		}
		return nil
	})
	return data, err
}

// ReadCredentials reads moby.filesync.v1.CredentialsResponse.
func ReadCredentials(b []byte) (user, secret string, err error) {
	err = each(b, func(f field) error {
		switch f.Number {
		case 1:
			user = f.string()
		case 2:
			secret = f.string()
		}
		return nil
	})
	return user, secret, err
}

// Data is a message that has bytes in field 1: BytesMessage.
func Data(b []byte) []byte {
	var e encoder
	e.bytes(1, b)
	return e
}
