// Adds what happens to one's sessions to the table, as it happens.
const rows = document.querySelector('.log tbody');

// Keeps a line of server-sent events open for as long as the session lives, outages included. `attach` gets each line.
function keepOpen(url, attach) {
	const check = () => document.dispatchEvent(new Event('portcullis-check')); // <portcullis-timeout> covers the page if it must
	let pause = 1000; // ms

	function open() {
		const line = new EventSource(url);
		line.onopen = () => { pause = 1000; };
		// After a broken connection the browser connects again by itself; after an answer that is no stream it never does.
		line.onerror = () => line.readyState === EventSource.CLOSED && askLater();
		line.addEventListener('session-ended', ({ data }) => {
			line.close();
			if (JSON.parse(data).reason === 'unverifiable') askLater();
			else check();
		});
		attach(line);
	}

	// Whether the session lives: a refused `EventSource` does not tell.
	function askLater(atLeast = 0) {
		setTimeout(async () => {
			const reply = await fetch('/session/status', { cache: 'no-store' }).catch(() => null);
			const { now } = await reply?.json().catch(() => null) ?? {};
			if (reply?.ok && now) open();
			else if (reply?.status === 401 && now) check(); // it ended
			else askLater(1000 * reply?.headers.get('retry-after') || 0);
		}, Math.max(pause, atLeast) * (1 + Math.random())); // not all pages at once
		pause = Math.min(2 * pause, 60_000);
	}

	open();
}

keepOpen('/account/activity/news', line => {
	line.onmessage = ({ data }) => {
		const row = rows.insertRow(0);
		row.role = 'row';
		for (const textContent of ['just now', ...JSON.parse(data)]) Object.assign(row.insertCell(), { role: 'cell', textContent });
	};
});
