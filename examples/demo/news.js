// Adds each new event of the user's sessions to the table.
const rows = document.querySelector('.log tbody');

// Keeps a stream of server-sent events open while the session is live, through outages.
// `attach` gets each stream.
function keepOpen(url, attach) {
	// <portcullis-timeout> asks, and covers the page.
	const check = () => document.dispatchEvent(new Event('portcullis-check'));
	let pause = 1000; // ms

	function open() {
		const line = new EventSource(url);
		line.onopen = () => { pause = 1000; };
		// The browser connects again after a broken connection, but not after any other response.
		line.onerror = () => line.readyState === EventSource.CLOSED && askLater();
		line.addEventListener('session-ended', ({ data }) => {
			line.close();
			if (JSON.parse(data).reason === 'unverifiable') askLater();
			else check();
		});
		attach(line);
	}

	// Asks whether the session is live, because a refused `EventSource` does not report it.
	function askLater(atLeast = 0) {
		setTimeout(async () => {
			const reply = await fetch('/session/status', { cache: 'no-store' }).catch(() => null);
			const { now } = await reply?.json().catch(() => null) ?? {};
			if (reply?.ok && now) open();
			else if (reply?.status === 401 && now) check(); // it ended
			else askLater(1000 * reply?.headers.get('retry-after') || 0);
		}, Math.max(pause, atLeast) * (1 + Math.random())); // spreads the requests of many pages
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
