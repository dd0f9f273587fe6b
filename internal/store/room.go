package store

import "golang.org/x/sys/unix"

// What is kept of the disk behind what is written: that much at least before an Update, and so much when it is less.
const (
	roomLeast = 256 << 10
	roomKept  = 512 << 10
)

// keepRoom keeps room on the disk for this transaction and the next ones, behind the used bytes: on a disk that is full it is noted all the same that what fills it is to stop. Where no room can be kept,
// because the disk is full already or the file system has no fallocate(2), a write finds room or fails, as without. bbolt makes the file larger only where it is too small.
//
// Precondition: an Update is under way, or nobody else has the store.
func (s *Store) keepRoom(used int64) {
	if used+roomLeast <= s.kept {
		return
	}
	for {
		err := unix.Fallocate(int(s.file.Fd()), 0, 0, used+roomKept)
		if err == nil {
			s.kept = used + roomKept
		}
		if err != unix.EINTR {
			return
		}
	}
}
