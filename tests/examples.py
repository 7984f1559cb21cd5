"""Runs the examples of embedding, as somebody would who tries them: what they print is what they promise."""

import subprocess

# Each example that ends by itself, and what it prints.
PRINTS = {
    "embed": ["booked 2 tickets: ", "mailed: "],
    "native_policy": ["six tickets cost 6000 cents", "five more: Ten tickets each, please."],
    "paid_sale": ["refused, ", "pi_2: booked late", "three bookings are paid, and nothing is due"],
    "own_mailer": ["busy", " -> ann@example.org: ", "delivered "],
}


def wrong(programs):
    """What is wrong with them; an empty list if nothing is. `programs` has the path of each example by its name."""
    missing = [name for name in [*PRINTS, "mount"] if name not in programs]
    if missing:
        return [f"the build made no example {name}" for name in missing]
    found = []
    for name, words in PRINTS.items():
        ended = subprocess.run([programs[name]], capture_output=True, text=True, timeout=120)
        if ended.returncode:
            found.append(f"{name} ended with {ended.returncode}: {ended.stderr}")
        found += [f"{name} does not print {word!r}: {ended.stdout}" for word in words if word not in ended.stdout]
    return found + wrong_with_mount(programs["mount"])


def wrong_with_mount(program):
    """Types what the example prints: a booking through the router that a platform mounted."""
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as mount:
        try:
            command = mount.stdout.readline().strip()
            booked = subprocess.run(f"{command} --silent --show-error --max-time 60", shell=True, capture_output=True, text=True)
            forged = command.replace("badge: ann", "badge: bob")
            refused = subprocess.run(f"{forged} --silent --show-error --max-time 60", shell=True, capture_output=True, text=True)
        finally:
            mount.kill()
    found = []
    if '"status":"confirmed"' not in booked.stdout.replace(" ", ""):
        found.append(f"`{command}` did not book: {booked.stdout}{booked.stderr}")
    if "not-authenticated" not in refused.stdout:
        found.append(f"a forged badge was not refused: {refused.stdout}{refused.stderr}")
    return found
