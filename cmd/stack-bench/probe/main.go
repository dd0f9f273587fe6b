// Command probe is what runs inside the containers of a benchmark: it writes lines, moves bytes, asks a DNS server.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "pause":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return nil
	case len(args) == 3 && args[0] == "lines":
		return lines(number(args[1]), number(args[2]))
	case len(args) == 2 && args[0] == "sink":
		return sink(args[1])
	case len(args) == 3 && args[0] == "source":
		return source(args[1], time.Duration(number(args[2]))*time.Millisecond)
	case len(args) == 5 && args[0] == "dns":
		return dns(args[1], number(args[2]), number(args[3]), time.Duration(number(args[4]))*time.Millisecond)
	}
	return fmt.Errorf("unknown: %q; pause | lines N BYTES | sink ADDR | source ADDR MS | dns NAME CLIENTS OUTSTANDING MS", args)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(2)
	}
	return n
}

func lines(n, size int) error {
	w := bufio.NewWriter(os.Stdout)
	line := append(bytes.Repeat([]byte("x"), size-1), '\n')
	for range n {
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// sink reads whatever comes. It says where it listens, once it does.
func sink(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(io.Discard, c)
		}()
	}
}

// connections is how many a source makes, one after the other: which processor each end comes to lie on decides more about one of them than what is measured.
const connections = 10

// source writes to a sink for a time and prints Gbit/s, the median of its connections.
func source(addr string, d time.Duration) error {
	var rates []float64
	for range connections {
		rate, err := connection(addr, d/connections)
		if err != nil {
			return err
		}
		rates = append(rates, rate)
	}
	slices.Sort(rates)
	fmt.Printf("%.2f\n", (rates[connections/2-1]+rates[connections/2])/2)
	return nil
}

// connection is the rate of one, in Gbit/s.
func connection(addr string, d time.Duration) (float64, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, 256<<10)
	start := time.Now()
	var sent int64
	for time.Since(start) < d {
		n, err := c.Write(buf)
		if err != nil {
			return 0, err
		}
		sent += int64(n)
	}
	return float64(sent) * 8 / 1e9 / time.Since(start).Seconds(), nil
}

// dns asks the first server of /etc/resolv.conf for A records of name and prints the answers per second. Each client is a socket
// with so many questions under way.
func dns(name string, clients, outstanding int, d time.Duration) error {
	raw, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return err
	}
	var server string
	for l := range bytes.Lines(raw) {
		if f := bytes.Fields(l); len(f) > 1 && string(f[0]) == "nameserver" {
			server = string(f[1])
			break
		}
	}
	question := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // RFC 1035, 4.1.1: recursion desired, one question
	question = append(question, byte(len(name)))
	question = append(question, name...)
	question = append(question, 0, 0, 1, 0, 1)
	var answers atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range clients {
		c, err := net.Dial("udp", net.JoinHostPort(server, "53"))
		if err != nil {
			return err
		}
		_ = c.SetDeadline(end)
		wg.Go(func() {
			defer c.Close()
			q := bytes.Clone(question)
			var id uint16
			ask := func() error {
				id++
				binary.BigEndian.PutUint16(q, id)
				_, err := c.Write(q)
				return err
			}
			for range outstanding {
				if ask() != nil {
					return
				}
			}
			buf := make([]byte, 1500)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				if n > 12 && buf[3]&0xf == 0 && binary.BigEndian.Uint16(buf[6:]) > 0 {
					answers.Add(1)
				}
				if ask() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	fmt.Printf("%.0f\n", float64(answers.Load())/d.Seconds())
	return nil
}
