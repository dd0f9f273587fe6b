// Server is the program in the image of examples/hello: it serves one page.
package main

import (
	"flag"
	"fmt"
	"html"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

const addr = ":8000"

func main() {
	log.SetFlags(0)
	check := flag.Bool("check", false, "ask the server in this container whether it answers")
	flag.Parse()
	if *check {
		resp, err := http.Get("http://127.0.0.1" + addr + "/")
		if err != nil {
			log.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			log.Fatal(resp.Status)
		}
		return
	}

	greeting := os.Getenv("GREETING")
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "Go-http-client/1.1" { // the health check's requests are not news
			log.Printf("%s %s", r.Method, r.URL.Path)
		}
		host, _ := os.Hostname()
		fmt.Fprintf(w, "<!doctype html>\n<title>hello</title>\n<h1>%s</h1>\n<p>container %s</p>\n", html.EscapeString(greeting), html.EscapeString(host))
	})
	// A process that is PID 1 ignores signals that it does not handle.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		log.Printf("stopping: %v", <-stop)
		os.Exit(0)
	}()
	log.Printf("serving on %s", addr)
	log.Fatal(http.ListenAndServe(addr, nil))
}
